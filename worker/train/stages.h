/* stages - in how many stages a run asks for its model to be held, and by how many ranks.
 *
 * Threads: any. */
#ifndef WORKER_TRAIN_STAGES_H
#define WORKER_TRAIN_STAGES_H

#include "common/slots/slots.h"
#include "worker/comm/split.h"

/* parallel.pipeline; auto: 1. */
int stages_of(const Config *config);

/* A block a stage at least, and no tensor that two would train. */
MUST_USE bool stages_check_model(const Config *config, const ModelArch *arch, const SlotTable *table, Err *err);

/* So many ranks on one node make whole copies of the model, as many as parallel.data says. */
MUST_USE bool stages_check_ranks(const Config *config, int64_t ranks, Err *err);

/* parallel.pipeline: auto becomes what a job's nodes have room for, by the code of `lora plan` (layouts.h); on one node 1.
 * The groups are then split so. The arithmetic has been started. Collective: over the job; fails on all alike. */
MUST_USE bool stages_settle(Config *config, Groups *groups, Err *err);

#endif
