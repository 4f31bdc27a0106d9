/* split - who is with a rank: the groups of a job whose model is held in stages and shards (grid.h).
 *
 * Threads: the main thread. */
#ifndef WORKER_COMM_SPLIT_H
#define WORKER_COMM_SPLIT_H

#include "worker/comm/grid.h"
#include "worker/comm/group.h"

/* Of data, pipeline, tensor and team, ranks stand in the order of the job's. */
typedef struct Groups {
    Group job; /* all of one mpirun */
    Group node; /* on this machine */
    int nodes; /* of the job */
    int per_node; /* ranks; 0: nodes have different numbers of them */
    GridPlace place; /* this rank's */
    int lanes; /* of a replica, where the model is in parts; else 1 */
    Group data; /* that hold the same part of the model, for other micro-batches */
    Group pipeline; /* of one lane, stage behind stage */
    Group tensor; /* the shards of one stage */
    Group team; /* of the node, that hold the same part of the model: they share its memory */
} Groups;

/* The model in `pipeline` stages of `tensor` shards: job, node, nodes and per_node are set, and may have been split
 * before. Collective: job; fails on all alike. */
MUST_USE bool groups_split(Groups *groups, int pipeline, int tensor, Err *err);

/* The first rank of the first stage of a replica, or where nothing is in parts of a node: it talks to the server. */
bool groups_lead(const Groups *groups);

#endif
