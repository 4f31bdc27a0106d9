/* absurd_tell - says of which micro-batch, and of which rows, a gradient or loss cannot be: the server sees sums over
 * several.
 *
 * Threads: the rank's. */
#ifndef WORKER_TRAIN_ABSURD_TELL_H
#define WORKER_TRAIN_ABSURD_TELL_H

#include "common/slots/slots.h"

typedef struct MicroBatchSum {
    int64_t step, m; /* step: 0-based */
    const uint32_t *rows; /* [row_count], of the training data */
    int64_t row_count;
    const float *gradient; /* [table->size] */
    double loss, weight; /* weight: what the sums are to be divided by */
} MicroBatchSum;

/* A warning, at most 8 in a process. */
void absurd_tell(const SlotTable *table, const MicroBatchSum *sum, int *told);

#endif
