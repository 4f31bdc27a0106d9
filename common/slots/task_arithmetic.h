/* task_arithmetic - several tensors of one shape become one: pruned, their signs elected, added. Of LoRA's factors or
 * of whole differences of weights alike. Source: peft/utils/merge_utils.py.
 *
 * Threads: any. */
#ifndef COMMON_SLOTS_TASK_ARITHMETIC_H
#define COMMON_SLOTS_TASK_ARITHMETIC_H

#include "common/base/rng.h"

#include <stdbool.h>

typedef enum {
    PRUNE_NONE,
    PRUNE_MAGNITUDE, /* the int(density n) largest stay */
    PRUNE_RANDOM /* each stays with probability density, and is divided by it (DARE) */
} PruneKind;

/* x[n], in place. density >= 1: nothing happens. Of equal magnitudes the first stay. */
void task_prune(float *x, int64_t n, PruneKind kind, double density, RngKey key);

/* out[n] = sum_i weight[i] x[i][n]. */
void task_sum(float *out, float *const *x, const float *weight, int count, int64_t n);

/* TIES: an element's sign is that of the sum of x, or, by frequency, of the sum of their signs (0: +); what has it is
 * added with its weight, divided by how many there are. */
void task_ties(float *out, float *const *x, const float *weight, int count, int64_t n, bool by_frequency);

#endif
