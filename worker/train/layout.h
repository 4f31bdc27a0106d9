/* layout - what a run would take of so many nodes, by how many stages hold its model: memory, time, bytes.
 *
 * Memory is what model_bytes and the slot table say. Time is on paper: operations over what a core is said to do, the
 * stages' lists played against each other (simulate.h), messages over the links' speed; every example is as long as the
 * settings let it be, and a rank has all cores of its node. Operations of a token, by the shapes of the model:
 *
 *   forward   2 out in + 2 r (in + out) a linear,  4 T H D a block (causal: half)
 *   backward  2 out in + 4 r (in + out),          10 T H D         (causal: half)
 *
 * as no gradient of a frozen weight is made.
 *
 * Owner: whoever asked. Threads: any. */
#ifndef WORKER_TRAIN_LAYOUT_H
#define WORKER_TRAIN_LAYOUT_H

#include "common/slots/slots.h"

typedef struct LayoutMachine {
    int64_t nodes, cores; /* of a node */
    double memory; /* bytes of a node that may be used */
    double net; /* bytes/s of a node's link, each way */
    double flops; /* a core's, reached */
} LayoutMachine;

typedef struct LayoutStage {
    int64_t first, end; /* blocks */
    double weights, kept, other; /* bytes: the base; of micro-batches that are on their way; all else */
    double up, back; /* seconds of a micro-batch */
} LayoutStage;

/* Zeroed is empty. */
typedef struct RunLayout {
    int stages;
    int64_t replicas, micro_batches, tokens; /* tokens of a step */
    LayoutStage *stage; /* [stages], owned */
    bool fits; /* every stage into a node's memory */
    double seconds, compute, server; /* of a step: all; if nobody waited; of what goes to the server and comes back */
    double mpi; /* bytes that a node sends to others of its replica in a step, the most of them */
    double wire; /* bytes into the server in a step; as many out of it */
} RunLayout;

/* False with *err: the model cannot be held in so many stages, or they do not divide the nodes. */
MUST_USE bool layout_of(RunLayout *layout, const LayoutMachine *machine, const Config *config, const ModelArch *arch,
                        const SlotTable *table, int stages, Err *err);
void layout_release(RunLayout *layout);

#endif
