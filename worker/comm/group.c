#include "worker/comm/group.h"

#include "common/base/mem.h"

#include <string.h>

void group_barrier(const Group *g)
{
    g->exchange->barrier(g->self);
}

int group_most(const Group *g, int number)
{
    return g->exchange->most(g->self, number);
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
