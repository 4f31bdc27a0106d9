/* episodes - which rows an episode is of: a pure function of data, settings, step.
 *
 * In epoch e the rows of each task stand in the order of torch's randperm at seed + e, and are cut into episodes one behind the
 * other; what is left over is left out of this epoch. The episodes of all tasks, task behind task, come in the order of
 * randperm(count) at seed + e, so many a step; the last step of an epoch may have fewer.
 *
 * Owner: whoever opened it. Threads: one. */
#ifndef COMMON_PLAN_EPISODES_H
#define COMMON_PLAN_EPISODES_H

#include "common/base/err.h"

#include <stdint.h>

typedef struct EpisodesOptions {
    const uint32_t *rows; /* [ends[tasks - 1]] of the data set, task behind task; borrowed */
    const int64_t *ends; /* [tasks] rows of task t: [ends[t - 1], ends[t]); borrowed for the call */
    const char *const *names; /* [tasks] for messages; borrowed for the call */
    int tasks;
    int64_t batch_size, batches; /* rows of a batch, batches of an episode */
    int64_t per_step; /* episodes */
    uint64_t seed;
    bool shuffle;
} EpisodesOptions;

typedef struct Episodes Episodes;

/* NULL with *err: a task has fewer rows than an episode. */
MUST_USE Episodes *episodes_open(const EpisodesOptions *options, Err *err);
void episodes_close(Episodes *episodes);

/* Of an epoch. */
int64_t episodes_count(const Episodes *episodes);

/* rows[0, return value): rows of the data set of all batches of episode m of a step, batch behind batch; 0: that step has no such
 * episode. Borrowed until the next call. */
int64_t episodes_rows(Episodes *episodes, int64_t step, int64_t m, const uint32_t **rows);

/* Tokens that no batch passes: those of the longest rows of a task. start: offsets of the data set's tokens. */
int64_t episodes_most_tokens(const Episodes *episodes, const int64_t *start);

#endif
