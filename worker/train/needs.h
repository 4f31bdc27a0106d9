/* needs - what a run takes of a machine at the most, by run file and model, before anything is started.
 *
 * Threads: any. */
#ifndef WORKER_TRAIN_NEEDS_H
#define WORKER_TRAIN_NEEDS_H

#include "common/config/config.h"
#include "worker/model/model.h"

typedef struct Needs {
    int64_t shared; /* bytes that the ranks of a node share, in /dev/shm */
    int64_t rank; /* of one rank besides: activations */
    int64_t server;
    int64_t disk; /* a checkpoint, the one that replaces it, the adapter */
} Needs;

/* Tokens of the longest example, by the settings: the data are not looked at. */
int64_t needs_longest(const Config *config, const ModelArch *arch);

/* Of a step of a job whose ranks work side by side. */
int64_t needs_micro_batches(const Config *config, const ModelArch *arch, int64_t ranks);

/* Examples that a step computes: of episodes those of all their batches. */
double needs_examples(const Config *config);

/* Tokens of a piece of an evaluation; 0: there is none. */
int64_t needs_evaluated(const Config *config, const ModelArch *arch);

/* As a job of so many ranks that work side by side sizes its model for training, with every row as long as it may be. */
ModelOptions needs_options(const Config *config, const ModelArch *arch, int64_t ranks);

/* For so many ranks on the node. False: the model cannot be opened. */
MUST_USE bool needs_of(Needs *needs, const Config *config, int64_t ranks, Err *err);

#endif
