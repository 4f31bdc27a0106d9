/* runner - runs trials, some at a time: each is a `lora train` of its own, whose words go into FOLDER.log.
 *
 * What a run can do, a trial can: it goes on where it was when it was killed, is refused in the folder of another run, and
 * its bits do not depend on who else runs. A trial that fails is left as it is, and the others go on.
 *
 * Owner: a command. Threads: the main thread. */
#ifndef LAUNCH_TRIALS_RUNNER_H
#define LAUNCH_TRIALS_RUNNER_H

#include "launch/trials/trial.h"

typedef struct RunnerOptions {
    const char *file; /* the run file */
    const CommandWords *overrides; /* KEY=VALUE, of all trials */
    int64_t jobs; /* trials at a time */
    int64_t ranks; /* of each */
    bool overwrite; /* those that this process starts first begin anew */
} RunnerOptions;

/* `jobs` and `ranks` by the words of --jobs and --ranks; NULL: one, and the cores by it. */
MUST_USE bool runner_sizes(RunnerOptions *options, const char *jobs, const char *ranks, Err *err);

/* From here on SIGINT and SIGTERM are for the runner: they end the trials, which can go on later. */
void runner_signals(void);

/* Until no trial waits or runs. False: with *err it could not start one, or without, a signal ended it
 * (runner_ended). */
MUST_USE bool runner_run(TrialList *trials, const RunnerOptions *options, Err *err);

/* 128 and the signal that ended the runner; 0: none. */
int runner_ended(void);

/* The code of the whole: 0 when every trial has come to its end or was halted; else of the first that failed, where a
 * loss that is not finite (5) counts only when no trial has an end. */
int runner_code(const TrialList *trials);

#endif
