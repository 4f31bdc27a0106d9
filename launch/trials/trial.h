/* trial - one of several runs of a run file that are put beside each other: what it changes in the file, its folder, and
 * what became of it. It is a run as any other: `lora train` makes it, in a folder that `lora train` would go on in.
 *
 * Owner: whoever made the list. Threads: one. */
#ifndef LAUNCH_TRIALS_TRIAL_H
#define LAUNCH_TRIALS_TRIAL_H

#include "common/base/err.h"
#include "launch/command_words.h"

#include <stdint.h>
#include <sys/types.h>

typedef enum {
    TRIAL_WAITING,
    TRIAL_RUNNING,
    TRIAL_HALTED, /* it has been evaluated `halt` times, and ended there; it can go on */
    TRIAL_DONE,
    TRIAL_FAILED
} TrialState;

typedef struct Trial {
    char *name; /* of its folder */
    char *folder; /* the folder's path */
    CommandWords changes; /* KEY=VALUE */
    int64_t halt; /* evaluations after which it is ended; 0: it runs to its end */
    int base; /* file descriptor of the memory that the base may lie in (shared_base.h); -1: none */
    TrialState state;
    int code; /* TRIAL_FAILED: what `lora train` ended with */
    pid_t pid; /* TRIAL_RUNNING */
    bool begun; /* by this process */
    bool halting; /* it was told to end */
} Trial;

typedef struct TrialList {
    Trial *items; /* [count], owned */
    int count;
} TrialList;

/* A new one behind the others, in `place`; lent until the next. Its name is the caller's words as a file can have them. */
Trial *trial_add(TrialList *list, const char *place, const char *name);
void trial_list_release(TrialList *list);

/* Would every trial be a run? `overrides` of the command line go before a trial's own. False with *err: the first that
 * would not. `evaluated`: each has to have evaluations. */
MUST_USE bool trial_check(const TrialList *list, const char *file, const CommandWords *overrides, bool evaluated,
                          Err *err);

#endif
