/* stages - in how many stages a run asks for its model to be held, and what is not computed over several.
 *
 * Threads: any. */
#ifndef WORKER_TRAIN_STAGES_H
#define WORKER_TRAIN_STAGES_H

#include "common/slots/slots.h"

/* parallel.pipeline; auto: 1. */
int stages_of(const Config *config);

/* A block a stage at least, and no tensor that two would train. */
MUST_USE bool stages_check_model(const Config *config, const ModelArch *arch, const SlotTable *table, Err *err);

/* So many ranks on one node make whole copies of the model. */
MUST_USE bool stages_check_ranks(const Config *config, int64_t ranks, Err *err);

#endif
