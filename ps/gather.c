#include "ps/gather.h"

#include "common/base/mem.h"
#include "common/slots/tree.h"

#include <stdlib.h>

enum { MOST_SPARES = 64 };

void gather_init(Gather *gather, int64_t M, int64_t size)
{
    *gather = (Gather){ .M = M, .size = size };
    gather->nodes = xcalloc((size_t)M, sizeof *gather->nodes);
    gather->spare_room = M + 2 < MOST_SPARES ? (int)M + 2 : MOST_SPARES;
    gather->spare = xcalloc((size_t)gather->spare_room, sizeof *gather->spare);
}

static void give_back(Gather *gather, float *buffer)
{
    if (gather->spares < gather->spare_room)
        gather->spare[gather->spares++] = buffer;
    else
        free(buffer);
}

static void drop(Gather *gather, int64_t begin)
{
    GatherSum *node = &gather->nodes[begin];
    if (node->gradient)
        give_back(gather, node->gradient);
    *node = (GatherSum){ 0 };
}

void gather_clear(Gather *gather)
{
    for (int64_t i = 0; i < gather->M; i++)
        drop(gather, i);
}

void gather_release(Gather *gather)
{
    for (int64_t i = 0; i < gather->M; i++)
        free(gather->nodes[i].gradient);
    while (gather->spares > 0)
        free(gather->spare[--gather->spares]);
    free(gather->spare);
    free(gather->nodes);
    *gather = (Gather){ 0 };
}

float *gather_spare(Gather *gather)
{
    return gather->spares > 0 ? gather->spare[--gather->spares] : NULL;
}

static bool is_known(const Gather *gather, int64_t begin, int64_t end)
{
    for (int64_t i = 0; i <= begin; i++)
        if (gather->nodes[i].gradient && gather->nodes[i].end >= end)
            return true;
    return false;
}

/* left += right; the right one's buffer goes back. */
static void join(Gather *gather, int64_t left, int64_t right)
{
    GatherSum *a = &gather->nodes[left], *b = &gather->nodes[right];
    float *restrict sum = a->gradient;
    const float *restrict more = b->gradient;
#pragma omp simd
    for (int64_t i = 0; i < gather->size; i++)
        sum[i] += more[i];
    a->loss += b->loss;
    a->count += b->count;
    a->tokens += b->tokens;
    a->end = b->end;
    drop(gather, right);
}

static void rise(Gather *gather, int64_t begin, int64_t end)
{
    int64_t parent_begin, parent_end, sibling, sibling_end;
    bool left;
    while (tree_parent(begin, end, gather->M, &parent_begin, &parent_end, &sibling, &sibling_end, &left)) {
        const GatherSum *other = &gather->nodes[sibling];
        if (!other->gradient || other->end != sibling_end)
            return;
        join(gather, left ? begin : sibling, left ? sibling : begin);
        begin = parent_begin;
        end = parent_end;
    }
}

GatherAnswer gather_add(Gather *gather, int64_t begin, int64_t end, GatherSum *sum)
{
    if (!tree_is_node(begin, end, gather->M))
        return GATHER_NO_NODE;
    if (is_known(gather, begin, end))
        return GATHER_KNOWN;
    for (int64_t i = begin; i < end; i++)
        drop(gather, i);
    gather->nodes[begin] = *sum;
    gather->nodes[begin].end = end;
    sum->gradient = NULL;
    rise(gather, begin, end);
    return GATHER_KEPT;
}

const GatherSum *gather_root(const Gather *gather)
{
    const GatherSum *root = gather->nodes;
    return gather->M > 0 && root->gradient && root->end == gather->M ? root : NULL;
}
