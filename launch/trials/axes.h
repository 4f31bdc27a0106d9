/* axes - the settings that a sweep goes over: `lora.r=4,8,16`, or drawn at random from `train.learning_rate=1e-5..1e-3`.
 *
 * Owner: cmd_sweep.c. Threads: any. */
#ifndef LAUNCH_TRIALS_AXES_H
#define LAUNCH_TRIALS_AXES_H

#include "launch/trials/trial.h"

enum { AXES_MOST = 8, AXES_TRIALS = 10000 };

typedef struct Axis {
    char *key;
    CommandWords values; /* of a list */
    bool range, whole, by_factors; /* LOW..HIGH; of whole numbers; drawn by the logarithm */
    double low, high;
} Axis;

typedef struct Axes {
    Axis items[AXES_MOST];
    int count;
} Axes;

/* words[0, count): KEY=VALUE,VALUE... or, if `ranges`, KEY=LOW..HIGH. Commas inside brackets and quotes are a value's.
 * On failure *axes is empty. */
MUST_USE bool axes_read(Axes *axes, const char *const *words, int count, bool ranges, Err *err);
void axes_release(Axes *axes);

/* A trial for each combination, the last axis first. False: too many. */
MUST_USE bool axes_grid(const Axes *axes, TrialList *trials, const char *place, Err *err);

/* `n` trials, each of a value of each axis; the same for the same seed, and the first of more are those of fewer. Of two
 * alike the second is left out. Ranges from above 0 over a factor of 10 or more are drawn by the logarithm. */
void axes_random(const Axes *axes, TrialList *trials, const char *place, int64_t n, uint64_t seed);

#endif
