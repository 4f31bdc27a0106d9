/* row_names - how many rows of data files name each of several adapters, in the field of theirs that says it.
 *
 * Threads: any. */
#ifndef LAUNCH_ROW_NAMES_H
#define LAUNCH_ROW_NAMES_H

#include "worker/data/dataset.h"

/* rows[count] <- how many of the rows that data's options take are for names[count]. False with *err: a row names none
 * of them, or a file cannot be read. */
MUST_USE bool row_names_count(int64_t *rows, const char *const *names, int count, const DatasetOptions *data, Err *err);

#endif
