/* plateau - when learning rates fall because evaluations do not get better, and what is left of one then: torch's
 * ReduceLROnPlateau (optim/lr_scheduler.py). It reduces every rate of a run at once, and each down to min_lr for itself,
 * so that one count says what became of all of them.
 *
 * Threads: any; values only. */
#ifndef COMMON_OPTIM_PLATEAU_H
#define COMMON_OPTIM_PLATEAU_H

#include "common/optim/schedule.h"

typedef struct Plateau { /* all 0 before the first evaluation */
    bool seen; /* is there a best? */
    double best;
    int64_t bad; /* evaluations in a row that were not better */
    int64_t cooldown; /* evaluations to come that are not counted as bad */
    int64_t reduced; /* times that the rates were reduced */
} Plateau;

/* An evaluation's figure; NAN is never better. */
void plateau_evaluated(Plateau *plateau, const Schedule *schedule, double figure);

/* What is left of a rate that was reduced so many times; of 0 times, under any schedule, the rate itself. */
double plateau_rate(const Schedule *schedule, double rate, int64_t reduced);

#endif
