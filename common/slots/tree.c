#include "common/slots/tree.h"

/* Where a node of 2^k leaves at `begin` ends in a tree of M leaves. */
static int64_t cut(int64_t begin, int64_t width, int64_t M)
{
    return begin + width < M ? begin + width : M;
}

int64_t tree_node_end(int64_t begin, int64_t end, int64_t M)
{
    int64_t width = 1, best = cut(begin, 1, M);
    while (begin % (2 * width) == 0 && best < end) {
        width *= 2;
        const int64_t wider = cut(begin, width, M);
        if (wider > end)
            break;
        best = wider;
    }
    return best;
}

bool tree_is_node(int64_t begin, int64_t end, int64_t M)
{
    return begin >= 0 && begin < end && end <= M && tree_node_end(begin, end, M) == end;
}

/* The level of a node is the smallest whose cut range is [begin, end): a cut
 * range has one sum whichever of its levels is meant. */
bool tree_parent(int64_t begin, int64_t end, int64_t M, int64_t *parent_begin, int64_t *parent_end,
                 int64_t *sibling_begin, int64_t *sibling_end, bool *left)
{
    if (begin == 0 && end == M)
        return false;
    int64_t width = 1;
    while (cut(begin, width, M) != end)
        width *= 2;
    for (;;) { /* skip levels where the right sibling is empty and nothing is added */
        const int64_t above = begin / (2 * width) * (2 * width);
        *left = above == begin;
        *parent_begin = above;
        *parent_end = cut(above, 2 * width, M);
        *sibling_begin = *left ? end : above;
        *sibling_end = *left ? *parent_end : begin;
        if (*sibling_begin < *sibling_end)
            return true;
        width *= 2;
    }
}

/* Nodes that n neighbouring leaves fall into, at most: widths 1, 2, 4 ... and back to 1 take the fewest leaves. */
static int nodes_within(int64_t n)
{
    int count = 0;
    int64_t side = 0; /* leaves of the rising half */
    for (int64_t width = 1; 2 * side + width <= n; width *= 2) {
        count++;
        if (2 * (side + width) <= n)
            count++;
        side += width;
    }
    return count;
}

int tree_room(int64_t n)
{
    const int before_last = nodes_within(n - 1) + 1, all = nodes_within(n);
    return all > before_last ? all : before_last;
}
