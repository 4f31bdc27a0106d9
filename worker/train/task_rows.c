#include "worker/train/task_rows.h"

#include "common/base/maths.h"
#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>

static int task_of(const Dataset *data, const Config *config, uint32_t row)
{
    const int64_t label = (int64_t)data->goal[row];
    int t = 0;
    while (label >= config->tasks.items[t].first + config->tasks.items[t].labels)
        t++;
    return t;
}

/* Of a task with n rows, how often they come beside those of the others. */
static double part(const DataConfig *d, int64_t n)
{
    switch (d->sampling) {
    case SAMPLING_EQUAL:
        return 1;
    case SAMPLING_TEMPERATURE:
        return maths_pow((double)n, 1 / d->sampling_temperature);
    case SAMPLING_PROPORTIONAL:
        break;
    }
    return (double)n;
}

uint32_t *task_rows(const Dataset *data, const Config *config, uint32_t *rows, int64_t *count)
{
    const int tasks = config->tasks.count;
    int64_t *have = xcalloc((size_t)tasks, sizeof *have), *want = xcalloc((size_t)tasks, sizeof *want), all = 0;
    double most = 0; /* epochs that a share of 1 has to have */
    for (int64_t i = 0; i < *count; i++)
        have[task_of(data, config, rows[i])]++;
    for (int t = 0; t < tasks; t++)
        most = have[t] > 0 ? fmax(most, (double)have[t] / part(&config->data, have[t])) : most;
    for (int t = 0; t < tasks; t++) {
        const double wanted = have[t] > 0 ? floor(most * part(&config->data, have[t]) + 0.5) : 0;
        want[t] = wanted > (double)have[t] ? (int64_t)wanted : have[t];
        all += want[t];
    }
    uint32_t *to = xcalloc((size_t)(all > 0 ? all : 1), sizeof *to);
    int64_t n = 0;
    for (int64_t begin = 0, t = 0; t < tasks; begin += have[t++])
        for (int64_t i = 0; i < want[t]; i++)
            to[n++] = rows[begin + i % have[t]];
    *count = all;
    free(want);
    free(have);
    free(rows);
    return to;
}

void task_ends(int64_t *ends, const Dataset *data, const Config *config, const uint32_t *rows, int64_t count)
{
    for (int t = 0; t < config->tasks.count; t++)
        ends[t] = 0;
    for (int64_t i = 0; i < count; i++)
        ends[task_of(data, config, rows[i])]++;
    for (int t = 1; t < config->tasks.count; t++)
        ends[t] += ends[t - 1];
}
