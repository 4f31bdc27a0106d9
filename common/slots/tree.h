/* tree - the fixed tree in which micro-batch sums are added.
 *
 * Leaves are micro-batches 0 .. M-1. A node of level k covers the aligned range
 * [j 2^k, (j+1) 2^k) cut off at M; its sum is left + right (left alone where
 * right would be empty). Whoever adds in this order gets the same bits.
 *
 * Threads: any; numbers only. */
#ifndef COMMON_SLOTS_TREE_H
#define COMMON_SLOTS_TREE_H

#include <stdbool.h>
#include <stdint.h>

/* True when [begin, end) is a node's whole range in a tree of M leaves. */
bool tree_is_node(int64_t begin, int64_t end, int64_t M);

/* The largest node that starts at begin and ends at or before end: its end. */
int64_t tree_node_end(int64_t begin, int64_t end, int64_t M);

/* The sibling and parent ranges of a node; false for the root. `left`: the node is the left child.
 * An empty sibling (cut off at M) has sibling_begin == sibling_end. */
bool tree_parent(int64_t begin, int64_t end, int64_t M, int64_t *parent_begin, int64_t *parent_end,
                 int64_t *sibling_begin, int64_t *sibling_end, bool *left);

/* Sums that lie side by side, the next leaf's among them, while n neighbouring leaves are added up from left to right,
 * wherever they stand: at most. */
int tree_room(int64_t n);

#endif
