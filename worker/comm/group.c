#include "worker/comm/group.h"

#include "common/base/mem.h"

#include <string.h>

enum { PIECE = 1 << 28 }; /* bytes of a message */

void group_barrier(const Group *g)
{
    g->exchange->barrier(g->self);
}

int group_most(const Group *g, int number)
{
    return g->exchange->most(g->self, number);
}

uint64_t group_sum(const Group *g, uint64_t number)
{
    return g->exchange->sum(g->self, number);
}

bool group_agree(const Group *g, bool ok)
{
    return group_most(g, !ok) == 0;
}

uint64_t group_share_number(const Group *g, uint64_t number)
{
    g->exchange->share(g->self, &number, sizeof number);
    return number;
}

char *group_share_text(const Group *g, const char *text)
{
    const bool any = g->rank == 0 && text;
    const uint64_t size = group_share_number(g, any ? strlen(text) + 1 : 0);
    if (size == 0)
        return NULL;
    char *copy = xmalloc(size);
    if (any)
        memcpy(copy, text, size);
    g->exchange->share(g->self, copy, size);
    return copy;
}

void *group_memory(const Group *g, size_t size, Err *err)
{
    return g->exchange->memory(g->self, size, err);
}

Group group_split(const Group *g, int colour)
{
    Group part = { .exchange = g->exchange };
    part.self = g->exchange->split(g->self, colour, &part.rank, &part.size);
    return part;
}

int group_send(const Group *g, int peer, int kind, const void *bytes, size_t size)
{
    const Parcel parcel = { true, peer, kind, (void *)(uintptr_t)bytes, size };
    return g->exchange->post(g->self, &parcel);
}

int group_receive(const Group *g, int peer, int kind, void *bytes, size_t size)
{
    const Parcel parcel = { false, peer, kind, bytes, size };
    return g->exchange->post(g->self, &parcel);
}

void group_wait(const Group *g, int ticket)
{
    g->exchange->wait(g->self, ticket);
}

static size_t piece_of(size_t size, size_t at)
{
    return size - at < PIECE ? size - at : PIECE;
}

void group_give(const Group *g, int peer, int kind, const void *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += PIECE)
        group_wait(g, group_send(g, peer, kind, (const char *)bytes + at, piece_of(size, at)));
}

void group_take(const Group *g, int peer, int kind, void *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += PIECE)
        group_wait(g, group_receive(g, peer, kind, (char *)bytes + at, piece_of(size, at)));
}

void group_tell(const Group *g, int from, int kind, void *bytes, size_t size)
{
    if (g->rank != from) {
        group_take(g, from, kind, bytes, size);
        return;
    }
    for (int to = 0; to < g->size; to++)
        if (to != from)
            group_give(g, to, kind, bytes, size);
}
