/* history - what has been said of a run's steps: log_history in memory, metrics.jsonl on disk.
 *
 * Threads: one. */
#ifndef PS_HISTORY_H
#define PS_HISTORY_H

#include "ps/run_state.h"

/* Lines of steps that are kept in memory, and in trainer_state.json, at the most: older ones are thinned out. metrics.jsonl
 * has all. */
enum { HISTORY_LINES = 16384 };

/* Trainer's epoch of the version that is reached. */
double history_epoch(const Run *run);
double history_mean_loss(const Run *run); /* of all steps that were applied */

/* An entry, and its line, which has one more figure where extra is not NULL. Takes entry. */
void history_add(Run *run, json_t *entry, const char *extra, double value);

/* Of the run so far, but for evaluations. */
double history_train_seconds(const Run *run);

/* The newest entry with this key; NULL: none. */
const json_t *history_last_with(const Run *run, const char *key);

/* Drops lines newer than the state. */
MUST_USE bool history_cut(const Run *run, Err *err);

#endif
