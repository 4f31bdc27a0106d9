/* comparison - what `lora compare` says of its runs: a row a way of training, over its seeds; as a table, as Markdown, as
 * JSON and as a picture.
 *
 * Owner: cmd_compare.c. Threads: one. */
#ifndef LAUNCH_TRIALS_COMPARISON_H
#define LAUNCH_TRIALS_COMPARISON_H

#include "common/base/json.h"
#include "common/base/text.h"
#include "launch/trials/trial.h"

typedef struct Comparison {
    const TrialList *trials; /* way after way, seed after seed */
    const char *const *methods; /* [method_count] */
    int method_count, seeds;
    const int64_t *seed_numbers; /* [seeds] */
    const char *metric; /* as it was asked for; NULL: the usual one */
} Comparison;

/* Of the runs that are done, into FOLDER/compare.json, .md and .svg, and the table for a terminal behind `out`. False: no
 * run is done, or a file cannot be written. */
MUST_USE bool comparison_write(const Comparison *comparison, const char *folder, Text *out, Err *err);

#endif
