/* join - how sums of gradients become fewer: two neighbours are one, and the pieces that the ranks of
 * a node have computed are joined as far as the fixed tree (common/slots/tree.h) goes.
 *
 * Threads: any. */
#ifndef WORKER_TRAIN_JOIN_H
#define WORKER_TRAIN_JOIN_H

#include "common/slots/sums.h"
#include "worker/train/node.h"

/* The sum over a node of the tree. */
typedef struct JoinPiece {
    NodeSum sum;
    float *grad; /* [size], lent */
} JoinPiece;

/* left += right, which begins where left ends, as sums_add of this dtype does. */
void join_add(JoinPiece *left, const JoinPiece *right, int64_t size, WireDtype dtype);

/* Joins the last two of pieces[0, count) while they are siblings in a tree of M leaves; how many are
 * left. Pieces go from left to right: called behind each new one, no two siblings
 * are left in the list. */
int join_siblings(JoinPiece *pieces, int count, int64_t M, int64_t size, WireDtype dtype);

#endif
