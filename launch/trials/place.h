/* place - what commands over several runs are given alike: the run file, keys that change it, where the runs lie.
 *
 * Owner: the command. Threads: one. */
#ifndef LAUNCH_TRIALS_PLACE_H
#define LAUNCH_TRIALS_PLACE_H

#include "common/config/config.h"
#include "launch/command_words.h"

#include <stdint.h>

typedef struct TrialPlace {
    char *folder; /* absolute; there behind place_make */
    CommandWords overrides; /* KEY=VALUE of the command line */
    Config config; /* of the run file with them */
    int lock; /* nobody else has the folder while this one does; -1: not taken */
} TrialPlace;

/* out: the folder; NULL: train.output_dir with `suffix` behind it. What was opened is the caller's to release, on failure
 * too. */
MUST_USE bool place_open(TrialPlace *place, const char *file, const char *const *overrides, int count, const char *out,
                         const char *suffix, Err *err);

/* Behind all that may be refused: the folder. */
MUST_USE bool place_make(const TrialPlace *place, Err *err);

/* The same for a command that starts runs in it alone. False: another does. */
MUST_USE bool place_take(TrialPlace *place, Err *err);
void place_release(TrialPlace *place);

#endif
