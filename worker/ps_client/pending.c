#include "worker/ps_client/pending.h"

#include "common/base/mem.h"

#include <stdlib.h>

/* Seconds until something unanswered is asked for again. */
static const double resend_first = 2;

Pending *pending_new(uint64_t client, MsgType type)
{
    Pending *pending = xcalloc(1, sizeof *pending);
    pending->msg.type = type;
    pending->msg.client = client;
    return pending;
}

void pending_free(Pending *pending)
{
    if (!pending)
        return;
    if (pending->lent)
        pending->msg.data = NULL;
    msg_release(&pending->msg);
    free(pending);
}

void pending_soon(Pending *pending)
{
    if (pending) {
        pending->due = 0;
        pending->wait = resend_first;
    }
}

void pending_append(Pending **list, Pending *pending)
{
    pending_soon(pending);
    while (*list)
        list = &(*list)->next;
    *list = pending;
}

void pending_free_all(Pending **list)
{
    while (*list)
        pending_take_out(list);
}

void pending_all_soon(Pending *list)
{
    for (; list; list = list->next)
        pending_soon(list);
}

void pending_earliest(const Pending *list, double *first)
{
    for (; list; list = list->next)
        if (list->due > 0 && list->due < *first)
            *first = list->due;
}

Pending **pending_pushed(Pending **list, const Msg *ack)
{
    for (; *list; list = &(*list)->next) {
        const Msg *push = &(*list)->msg;
        const LeaseKind kind = push->type == MSG_EVAL ? LEASE_EVAL : LEASE_TRAIN;
        if (push->step == ack->step && kind == ack->kind && push->at == ack->at &&
            push->range[0].begin == ack->range[0].begin && push->range[0].end == ack->range[0].end)
            return list;
    }
    return NULL;
}

Pending **pending_part(Pending **list, const Msg *values)
{
    for (; *list; list = &(*list)->next)
        if ((*list)->msg.at == values->at && (*list)->msg.step == values->step)
            return list;
    return NULL;
}

void pending_take_out(Pending **at)
{
    Pending *pending = *at;
    *at = pending->next;
    pending_free(pending);
}
