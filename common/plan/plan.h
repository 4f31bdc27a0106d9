/* plan - which examples stand in which micro-batch: a pure function of data, settings, step.
 *
 * The order of epoch e is torch's randperm(count) at seed + e (Trainer's). Global batch t is the
 * next batch_size examples of the epoch (the last of an epoch may be short). They are dealt to M
 * micro-batches by cost (tokens, and the square of the length for attention), longest first into
 * the emptiest, ties to the lower number, and stand in a micro-batch in the order of the batch.
 *
 * Time and memory do not depend on the number of steps: opening takes 4 bytes an example and 32 an example
 * of a step; a step of B examples is dealt in B log B + B log M.
 *
 * Owner: whoever opened it. Threads: one. */
#ifndef COMMON_PLAN_PLAN_H
#define COMMON_PLAN_PLAN_H

#include "common/base/err.h"

#include <stdint.h>

typedef struct PlanOptions {
    /* The three are borrowed. */
    const int64_t *start; /* [rows of the data set + 1] its offsets of tokens */
    const uint32_t *rows; /* [count] or [ends[count - 1]] rows that are trained on; NULL: all */
    const int64_t *ends; /* [count] example i is the rows [ends[i-1], ends[i]) (packing.h); NULL: one row each */
    int64_t count; /* examples */
    int64_t batch_size, micro_batches;
    int64_t width; /* of the model: weighs attention against the products */
    uint64_t seed;
    bool shuffle;
    bool padded; /* rows are computed as long as the longest of their step: all cost the same */
} PlanOptions;

typedef struct Plan Plan;

MUST_USE Plan *plan_open(const PlanOptions *options, Err *err);
void plan_close(Plan *plan);

/* rows[0, return value): rows of the data set in micro-batch m of step t; borrowed until the next call. */
int64_t plan_micro_batch(Plan *plan, int64_t step, int64_t m, const uint32_t **rows);

/* Tokens of the longest row in all micro-batches of step t. */
int64_t plan_longest(Plan *plan, int64_t step);

/* Tokens (padded: with padding) and rows that no micro-batch of steps [0, steps) passes: the most of them, or, where dealing
 * so many steps would take more than about half a second, a bound over every order that there could be. */
void plan_limits(Plan *plan, int64_t steps, int64_t *tokens, int64_t *rows);

int64_t plan_steps_per_epoch(const Plan *plan);

/* Ends of the evaluation chunks over `count` rows: consecutive rows until `most_tokens` would be
 * passed, in whole examples of `columns` rows. ends[0, return value); the caller frees it. */
int64_t plan_chunks(const int64_t *start, const uint32_t *rows, int64_t count, int64_t columns, int64_t most_tokens,
                    int64_t **ends);

/* The same of rows that belong to groups [rows of the data set], whose rows stand together: those of one are in one
 * chunk. */
int64_t plan_chunks_of_groups(const int64_t *start, const int64_t *group, const uint32_t *rows, int64_t count,
                              int64_t most_tokens, int64_t **ends);

#endif
