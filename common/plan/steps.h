/* steps - how long a run is, and into how many micro-batches its steps are cut: of a few numbers alone, the same
 * in both programs. Which examples are in a micro-batch is plan.h's.
 *
 * Threads: any; values only. */
#ifndef COMMON_PLAN_STEPS_H
#define COMMON_PLAN_STEPS_H

#include <stdint.h>

/* Of an epoch of so many examples, whose last step may be short. */
int64_t steps_per_epoch(int64_t examples, int64_t batch_size);

/* Of the run: max_steps where it is above 0, else those of the epochs, the last one begun. */
int64_t steps_total(int64_t per_epoch, double epochs, int64_t max_steps);

/* Trainer's epoch behind so many steps; per_epoch 0: 0. */
double steps_epoch(int64_t steps, int64_t per_epoch);

/* Examples that so many steps have seen. */
int64_t steps_examples(int64_t steps, int64_t examples, int64_t batch_size);

/* What parallel.micro_batches: auto fixes: the smallest multiple of the replicas whose micro-batches cannot exceed
 * most_tokens, at most one an example. longest: tokens of the longest example. */
int64_t steps_micro_batches(int64_t batch_size, int64_t longest, int64_t most_tokens, int64_t replicas);

#endif
