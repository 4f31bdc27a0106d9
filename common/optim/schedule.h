/* schedule - the learning rate of a step, as Transformers' get_scheduler gives it
 * (optimization.py). With a warmup the first update runs at rate 0.
 *
 * Threads: any; values only. */
#ifndef COMMON_OPTIM_SCHEDULE_H
#define COMMON_OPTIM_SCHEDULE_H

#include <stdint.h>

typedef enum { RATE_LINEAR, RATE_COSINE, RATE_CONSTANT, RATE_CONSTANT_WITH_WARMUP } RateKind;

typedef struct Schedule {
    RateKind kind;
    double rate; /* the highest */
    int64_t warmup, total; /* steps */
} Schedule;

/* Steps of warmup: `steps` when it is set, else ceil(total * ratio). */
int64_t schedule_warmup(int64_t steps, double ratio, int64_t total);

/* Learning rate of step k, 0-based. */
double schedule_rate(const Schedule *schedule, int64_t k);

#endif
