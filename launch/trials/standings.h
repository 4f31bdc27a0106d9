/* standings - what `lora sweep` says of its trials: a row each with its settings and its best figure, the best one marked; as a
 * table, as Markdown, as JSON and as a picture of the figure over each setting. Times are not in it: it is the same whenever,
 * and after however many kills, the trials were run.
 *
 * Owner: cmd_sweep.c. Threads: one. */
#ifndef LAUNCH_TRIALS_STANDINGS_H
#define LAUNCH_TRIALS_STANDINGS_H

#include "common/base/text.h"
#include "launch/trials/axes.h"

typedef struct StandingsOptions {
    const TrialList *trials;
    const Axes *axes;
    const int64_t *looked; /* [trials]: only so many evaluations of each count, where it was ended; 0: all */
    const char *metric; /* as it was asked for; NULL: the usual one */
} StandingsOptions;

/* Into FOLDER/sweep.json, .md and .svg, and the table for a terminal behind `out`. False: no trial has an evaluation yet, or a
 * file cannot be written. */
MUST_USE bool standings_write(const StandingsOptions *options, const char *folder, Text *out, Err *err);

#endif
