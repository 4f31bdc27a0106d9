/* grid - which part of which copy of the model a rank of a job computes: a pure function of how many there are.
 *
 * A replica is a whole copy: `pipeline` stages of consecutive blocks, each in `tensor` shards. Its ranks stand in the
 * order of (stage, lane, shard); a micro-batch goes up and down one lane. As many lanes are in a replica as leave each
 * stage's ranks on one node, so that those who hold the same share its memory.
 *
 * Threads: any. */
#ifndef WORKER_COMM_GRID_H
#define WORKER_COMM_GRID_H

#include "common/base/err.h"

typedef struct Grid {
    int ranks; /* of the job, in the order of (node, rank) */
    int per_node; /* 0: nodes have different numbers of them */
    int pipeline, tensor;
    int lanes; /* of a replica: grid_check's */
} Grid;

typedef struct GridPlace {
    int replica, stage, lane, shard;
} GridPlace;

/* Sets lanes. False: the ranks do not come out even. */
MUST_USE bool grid_check(Grid *grid, Err *err);

/* grid is checked. */
GridPlace grid_place(const Grid *grid, int rank);

#endif
