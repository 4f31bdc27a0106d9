#include "ps/outbox.h"

#include "common/base/mem.h"

#include <stdlib.h>

Msg *outbox_add(Outbox *outbox, Msg msg)
{
    if (outbox->count == outbox->room) {
        const int room = outbox->room ? 2 * outbox->room : 16;
        Msg *items = xcalloc((size_t)room, sizeof *items);
        for (int i = 0; i < outbox->count; i++)
            items[i] = outbox->items[(outbox->head + i) % outbox->room];
        free(outbox->items);
        outbox->items = items;
        outbox->room = room;
        outbox->head = 0;
    }
    Msg *place = &outbox->items[(outbox->head + outbox->count++) % outbox->room];
    *place = msg;
    return place;
}

bool outbox_take(Outbox *outbox, Msg *msg)
{
    if (outbox->count == 0)
        return false;
    *msg = outbox->items[outbox->head];
    outbox->head = (outbox->head + 1) % outbox->room;
    outbox->count--;
    return true;
}

void outbox_release(Outbox *outbox)
{
    Msg msg;
    while (outbox_take(outbox, &msg))
        free(msg.text);
    free(outbox->items);
    *outbox = (Outbox){ 0 };
}
