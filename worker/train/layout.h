/* layout - what a run would take of so many nodes, by how many stages hold its model: memory, time, bytes.
 *
 * Memory is what model_bytes and the slot table say. Time is on paper: operations over what a core is said to do, the
 * stages' lists played against each other (simulate.h), messages over the links' speed. A step's work is what the data
 * make of it, or, where they are not looked at, of examples that are as long as the settings let them be. Operations of a
 * token, by the shapes of the model:
 *
 *   forward   2 out in + 2 r (in + out) a linear,  4 T H D a block (causal: half)
 *   backward  2 out in + 4 r (in + out),          10 T H D         (causal: half)
 *
 * as no gradient of a frozen weight is made.
 *
 * Owner: whoever asked. Threads: any. */
#ifndef WORKER_TRAIN_LAYOUT_H
#define WORKER_TRAIN_LAYOUT_H

#include "worker/model/model.h"

/* Of what a core's products do: a step, with all in it that is no product. */
#define LAYOUT_REACHED 0.8

typedef struct LayoutMachine {
    int64_t nodes, cores; /* of a node */
    int64_t
        lanes; /* ranks of a node that work side by side, on one copy of the weights; its cores are theirs to share */
    double memory; /* bytes of a node that may be used */
    double net; /* bytes/s of a node's link, each way */
    double flops; /* a core's, reached */
} LayoutMachine;

typedef struct LayoutStage {
    int64_t first, end; /* blocks */
    double weights, kept, other; /* bytes of a node: the base; of micro-batches that are on their way; all else */
    double up, back; /* seconds of a micro-batch */
} LayoutStage;

/* What there is to do in a step. */
typedef struct LayoutWork {
    ModelOptions model; /* of a rank that holds it whole, its largest micro-batch */
    int64_t evaluated; /* most tokens of a piece of an evaluation; 0: there is none */
    int64_t micro_batches;
    double tokens; /* of a step */
    int64_t copies; /* of the adapter, that a rank holds for inner steps (episode.h) */
    double T; /* of the sequence that a token stands in, on the average */
} LayoutWork;

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

/* A step by the settings alone, for so many ranks that work side by side. */
LayoutWork layout_work(const Config *config, const ModelArch *arch, int64_t ranks);

/* The precision is what the base is stored in. False with *err: the model cannot be held in so many stages, or they do not divide the nodes. */
MUST_USE bool layout_of(RunLayout *layout, const LayoutMachine *machine, const LayoutWork *work, Precision precision,
                        const ModelArch *arch, const SlotTable *table, int stages, Err *err);
void layout_release(RunLayout *layout);

/* Bytes of a replica, all its ranks together. */
double layout_memory(const RunLayout *layout);

#endif
