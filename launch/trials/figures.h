/* figures - what a run's folder says of how it went: the lines of its metrics.jsonl, and its summary.json.
 *
 * Owner: the caller, of what was read. Threads: any. */
#ifndef LAUNCH_TRIALS_FIGURES_H
#define LAUNCH_TRIALS_FIGURES_H

#include "common/base/json.h"

/* A list of metrics.jsonl's lines; half a line, as one that is being written, is none. False with *err: there is no such
 * file. NULL is never left: *lines is the caller's to decref. */
MUST_USE bool figures_lines(json_t **lines, const char *folder, Err *err);

/* "eval_NAME", where any of lists[0, count) has it: of the name that is asked for (with or without "eval_"), or of the
 * first of the usual ones (accuracy, f1, pearson ...). Owned. NULL with *err: it was asked for, and none has it; NULL
 * alone: none has a usual one. */
char *figures_metric(json_t *const *lists, int count, const char *name, Err *err);

/* How often a run was evaluated. */
int64_t figures_evaluations(const json_t *lines);

typedef struct BestFigure {
    bool there;
    double value;
    int64_t step;
    int64_t evaluations; /* that were looked at */
} BestFigure;

/* The best of its first `most` evaluations (0: of all), of equal ones the first. `key`: "eval_accuracy". */
BestFigure figures_best(const json_t *lines, const char *key, int64_t most);

/* The summary of a run that is complete, the caller's to decref; NULL: it is not. */
json_t *figures_summary(const char *folder);

/* Bytes of the adapter, or of a model that was trained whole. */
int64_t figures_disk(const char *folder);

#endif
