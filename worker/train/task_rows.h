/* task_rows - how often the rows of several tasks come in an epoch (data.sampling).
 *
 * Threads: one. */
#ifndef WORKER_TRAIN_TASK_ROWS_H
#define WORKER_TRAIN_TASK_ROWS_H

#include "worker/data/dataset.h"

/* Takes rows[0, *count), task behind task, and gives those of an epoch: of a task with n rows about n, n^(1/T) c or c of
 * them, c so that no row of any task is left out and one task has each once; what goes beyond n are its rows again from
 * the first. Owned by the caller. */
uint32_t *task_rows(const Dataset *data, const Config *config, uint32_t *rows, int64_t *count);

/* ends[tasks]: where the rows of each task end in rows[0, count), task behind task. */
void task_ends(int64_t *ends, const Dataset *data, const Config *config, const uint32_t *rows, int64_t count);

#endif
