/* schedule - the learning rate of a step, as Transformers' get_scheduler gives it
 * (optimization.py). With a warmup the first update runs at rate 0 (but for schedules that begin higher).
 *
 * Threads: any; values only. */
#ifndef COMMON_OPTIM_SCHEDULE_H
#define COMMON_OPTIM_SCHEDULE_H

#include "common/base/err.h"
#include "common/base/json.h"

#include <stdint.h>

typedef enum {
    RATE_LINEAR,
    RATE_COSINE,
    RATE_CONSTANT,
    RATE_CONSTANT_WITH_WARMUP,
    RATE_COSINE_WITH_RESTARTS,
    RATE_COSINE_WITH_MIN_LR,
    RATE_COSINE_WARMUP_WITH_MIN_LR,
    RATE_POLYNOMIAL,
    RATE_INVERSE_SQRT,
    RATE_WARMUP_STABLE_DECAY,
    RATE_REDUCE_ON_PLATEAU,
} RateKind;

/* How warmup_stable_decay rises and falls. */
typedef enum { BEND_LINEAR, BEND_COSINE, BEND_1_SQRT } RateBend;

/* reduce_lr_on_plateau: which figures are better, and whether the threshold is a share of the best or a distance. */
typedef enum { PLATEAU_MIN, PLATEAU_MAX } PlateauMode;
typedef enum { PLATEAU_REL, PLATEAU_ABS } PlateauThreshold;

typedef struct Schedule {
    RateKind kind;
    double rate; /* the highest */
    int64_t warmup, total; /* steps */
    /* what lr_scheduler_kwargs say; those of other kinds are 0 */
    double cycles, power, lr_end;
    double timescale; /* 0: as many steps as the warmup's */
    double least; /* share of `rate` */
    double begin; /* share of `rate` at the first step of the warmup; -1: none */
    double stable, decay; /* steps; stable -1: those that are left */
    RateBend warmup_bend, decay_bend;
    PlateauMode mode;
    PlateauThreshold threshold_mode;
    double factor, threshold, min_lr, eps; /* min_lr: of any rate; eps: the least change of one */
    double patience, cooldown; /* evaluations */
} Schedule;

/* *s <- the schedule of a kind with its options (an object of names as lr_scheduler_kwargs; NULL: none), for
 * the caller to set warmup and total. Refused: an option that the kind has not, a value that it does not take,
 * one that it needs and is not there, an end that is not below `rate`. */
MUST_USE bool schedule_init(Schedule *s, RateKind kind, double rate, const json_t *options, Err *err);

/* Does the rate rise to its highest? */
bool schedule_has_warmup(RateKind kind);

/* Does the rate follow evaluations (plateau.h)? */
bool schedule_is_measured(RateKind kind);

/* Steps of warmup: `steps` when it is set, else ceil(total * ratio). */
int64_t schedule_warmup(int64_t steps, double ratio, int64_t total);

/* Learning rate of step k, 0-based; where it follows evaluations the one to begin with. */
double schedule_rate(const Schedule *schedule, int64_t k);

#endif
