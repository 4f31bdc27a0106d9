/* simulate - how long the stages of a pipeline take for the micro-batches of a step, by their lists (order.h).
 *
 * Threads: any; values only. */
#ifndef WORKER_TRAIN_SIMULATE_H
#define WORKER_TRAIN_SIMULATE_H

#include <stdint.h>

typedef struct StageTimes {
    double up, back; /* seconds of a micro-batch's forward, of its backward */
} StageTimes;

/* Until the last backward of m micro-batches: stages[count], message: seconds from a stage to the next. */
double simulate(const StageTimes *stages, int count, int64_t m, double message);

#endif
