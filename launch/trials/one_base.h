/* one_base - memory for the base of trials that run beside each other: its first worker loads it there, and all others read it
 * (worker/train/shared_base.h).
 *
 * It is memory of this process, and of those that have it open: when they are gone, it is, too, however they ended. Trials
 * that need another base (another model, another precision) have memory of their own.
 *
 * Owner: a command. Threads: one. */
#ifndef LAUNCH_TRIALS_ONE_BASE_H
#define LAUNCH_TRIALS_ONE_BASE_H

#include "launch/trials/trial.h"

/* Sets `base` of each. */
MUST_USE bool one_base_open(TrialList *trials, Err *err);
void one_base_close(TrialList *trials);

#endif
