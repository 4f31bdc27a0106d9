#include "ps/gather.h"

#include "common/base/mem.h"
#include "common/slots/tree.h"

#include <stdlib.h>

void gather_init(Gather *gather, int64_t M, int64_t size, WireDtype dtype)
{
    *gather = (Gather){ .M = M, .size = size, .dtype = dtype };
    gather->nodes = xcalloc((size_t)M, sizeof *gather->nodes);
}

static void drop(Gather *gather, int64_t begin)
{
    gather->open -= gather->nodes[begin].gradient != NULL;
    free(gather->nodes[begin].gradient);
    gather->nodes[begin] = (GatherSum){ 0 };
}

void gather_clear(Gather *gather)
{
    for (int64_t i = 0; i < gather->M; i++)
        drop(gather, i);
}

void gather_release(Gather *gather)
{
    gather_clear(gather);
    free(gather->nodes);
    *gather = (Gather){ 0 };
}

/* Only a node that contains it can make it known: one on the way to the root. */
static bool is_known(const Gather *gather, int64_t begin, int64_t end)
{
    int64_t sibling, sibling_end;
    bool left;
    do {
        const GatherSum *node = &gather->nodes[begin];
        if (node->gradient && node->end >= end)
            return true;
    } while (tree_parent(begin, end, gather->M, &begin, &end, &sibling, &sibling_end, &left));
    return false;
}

/* left += right, whose buffer is freed. */
static void join(Gather *gather, int64_t left, int64_t right)
{
    GatherSum *a = &gather->nodes[left], *b = &gather->nodes[right];
    sums_add(gather->dtype, a->gradient, b->gradient, gather->size);
    a->loss += b->loss;
    a->weight += b->weight;
    a->tokens += b->tokens;
    a->versions += b->versions;
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

GatherAnswer gather_ask(const Gather *gather, int64_t begin, int64_t end)
{
    if (!tree_is_node(begin, end, gather->M))
        return GATHER_NO_NODE;
    return is_known(gather, begin, end) ? GATHER_KNOWN : GATHER_KEPT;
}

GatherAnswer gather_add(Gather *gather, int64_t begin, int64_t end, GatherSum *sum)
{
    const GatherAnswer answer = gather_ask(gather, begin, end);
    if (answer != GATHER_KEPT)
        return answer;
    for (int64_t i = begin; i < end; i++)
        drop(gather, i);
    gather->nodes[begin] = *sum;
    gather->open++;
    gather->nodes[begin].end = end;
    sum->gradient = NULL;
    rise(gather, begin, end);
    return GATHER_KEPT;
}

int64_t gather_first_missing(const Gather *gather)
{
    int64_t leaf = 0;
    while (leaf < gather->M && gather->nodes[leaf].gradient)
        leaf = gather->nodes[leaf].end;
    return leaf;
}

const GatherSum *gather_root(const Gather *gather)
{
    const GatherSum *root = gather->nodes;
    return gather->M > 0 && root->gradient && root->end == gather->M ? root : NULL;
}

float *gather_take_root(Gather *gather)
{
    REQUIRE(gather_root(gather));
    float *gradient = gather->nodes[0].gradient;
    gather->nodes[0] = (GatherSum){ 0 };
    return gradient;
}
