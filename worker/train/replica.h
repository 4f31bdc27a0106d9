/* replica - the stages of one copy of the model as one client of the server: its leader (the first rank of the first
 * stage) gets leases and values and gives them to the first rank of each stage, and puts together of their parts what
 * it pushes. So a push is whole or is not made, and the server knows nothing of stages.
 *
 * With one stage all of it is nothing: values and sums are where they were computed.
 *
 * Owner: the job. Threads: the main thread. Collective: as said, over the first ranks of the replica's stages, who are
 * a lane. */
#ifndef WORKER_TRAIN_REPLICA_H
#define WORKER_TRAIN_REPLICA_H

#include "worker/comm/group.h"
#include "worker/model/stage.h"
#include "worker/train/join.h"
#include "worker/train/node.h"

/* What a stage's team has made of a range. */
typedef struct ReplicaReport {
    int count; /* of sums */
    NodeSum sums[2 * NODE_SUMS];
    int64_t memory; /* bytes of its ranks */
    Err failure; /* kind ERR_NONE: none */
} ReplicaReport;

/* Zeroed is empty. */
typedef struct Replica {
    const Group *lane; /* borrowed; NULL: one stage */
    const SlotTable *table; /* borrowed */
    Stage *stages; /* [lane->size], the leader's; owned */
    float *values, *gradient; /* [table->size], the leader's; owned */
    float *part; /* [most floats of a stage], the leader's; owned */
} Replica;

/* lane: of first ranks alone. Collective: no. */
MUST_USE bool replica_open(Replica *replica, const Group *lane, const ModelArch *arch, const SlotTable *table,
                           Err *err);
void replica_release(Replica *replica);

/* The leader's lease to all; with `fresh` the leader's replica->values, each stage's part of them to values. */
void replica_lease(Replica *replica, const Stage *stage, Lease *lease, bool fresh, float *values);

/* What a stage that is not the first has made, to the leader. */
void replica_report(const Replica *replica, const ReplicaReport *report);
void replica_give(const Replica *replica, const Stage *stage, const float *gradient);

/* The leader's: adds the reports of all other stages to its own. Loss and weight are the last stage's. With a failure
 * in it no sums are to be joined. */
void replica_collect(const Replica *replica, ReplicaReport *report);

/* The leader's: the next sum of all stages, of which its own is grad: [table->size], good until the next. */
const float *replica_join(Replica *replica, const float *grad);

/* The last stage's chunks of an evaluation (bytes, the same on both sides) to the leader. */
void replica_give_chunks(const Replica *replica, const void *bytes, size_t size);
void replica_take_chunks(const Replica *replica, void *bytes, size_t size);

#endif
