#include "common/plan/episodes.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <stdlib.h>

struct Episodes {
    EpisodesOptions o; /* without ends and names */
    int64_t *ends, *first; /* [tasks] rows; [tasks + 1] the first episode of each task */
    int64_t epoch; /* that the two orders are of; -1: none */
    uint32_t *rows; /* [ends[tasks - 1]] as o.rows, shuffled within each task */
    uint32_t *order; /* [count] */
};

static int64_t begin_of(const Episodes *e, int task)
{
    return task > 0 ? e->ends[task - 1] : 0;
}

static bool check(const EpisodesOptions *o, Err *err)
{
    const int64_t size = o->batch_size * o->batches;
    for (int t = 0; t < o->tasks; t++) {
        const int64_t n = o->ends[t] - (t > 0 ? o->ends[t - 1] : 0);
        if (n >= size)
            continue;
        err_set(err, ERR_INPUT, "an episode is %lld batches of %lld rows, and the task has %lld rows",
                (long long)o->batches, (long long)o->batch_size, (long long)n);
        err_hint(err, "lower meta.inner_steps or train.batch_size");
        return err_at(err, "tasks.%s", o->names[t]);
    }
    return true;
}

Episodes *episodes_open(const EpisodesOptions *o, Err *err)
{
    REQUIRE(o->tasks > 0 && o->batch_size > 0 && o->batches > 0 && o->per_step > 0);
    if (!check(o, err))
        return NULL;
    const int64_t size = o->batch_size * o->batches;
    Episodes *e = xcalloc(1, sizeof *e);
    e->o = *o;
    e->o.ends = NULL;
    e->o.names = NULL;
    e->epoch = -1;
    e->ends = xcalloc((size_t)o->tasks, sizeof *e->ends);
    e->first = xcalloc((size_t)o->tasks + 1, sizeof *e->first);
    for (int t = 0; t < o->tasks; t++) {
        e->ends[t] = o->ends[t];
        e->first[t + 1] = e->first[t] + (o->ends[t] - (t > 0 ? o->ends[t - 1] : 0)) / size;
    }
    e->rows = xcalloc((size_t)o->ends[o->tasks - 1], sizeof *e->rows);
    e->order = xcalloc((size_t)e->first[o->tasks], sizeof *e->order);
    return e;
}

void episodes_close(Episodes *e)
{
    if (!e)
        return;
    free(e->ends);
    free(e->first);
    free(e->rows);
    free(e->order);
    free(e);
}

int64_t episodes_count(const Episodes *e)
{
    return e->first[e->o.tasks];
}

static void permute(const Episodes *e, uint32_t *order, int64_t n, int64_t epoch)
{
    if (e->o.shuffle)
        rng_torch_randperm(order, n, e->o.seed + (uint64_t)epoch);
    else
        for (int64_t i = 0; i < n; i++)
            order[i] = (uint32_t)i;
}

static void shuffle(Episodes *e, int64_t epoch)
{
    if (epoch == e->epoch)
        return;
    for (int t = 0; t < e->o.tasks; t++) {
        const int64_t begin = begin_of(e, t), n = e->ends[t] - begin;
        permute(e, e->rows + begin, n, epoch);
        for (int64_t i = begin; i < e->ends[t]; i++)
            e->rows[i] = e->o.rows[begin + e->rows[i]];
    }
    permute(e, e->order, episodes_count(e), epoch);
    e->epoch = epoch;
}

int64_t episodes_rows(Episodes *e, int64_t step, int64_t m, const uint32_t **rows)
{
    REQUIRE(step >= 0 && m >= 0 && m < e->o.per_step);
    const int64_t count = episodes_count(e), steps = (count + e->o.per_step - 1) / e->o.per_step,
                  at = step % steps * e->o.per_step + m, size = e->o.batch_size * e->o.batches;
    if (at >= count)
        return 0;
    shuffle(e, step / steps);
    const int64_t episode = e->order[at];
    int t = 0;
    while (episode >= e->first[t + 1])
        t++;
    *rows = e->rows + begin_of(e, t) + (episode - e->first[t]) * size;
    return size;
}

static int longest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

int64_t episodes_most_tokens(const Episodes *e, const int64_t *start)
{
    int64_t most = 0, *lengths = xcalloc((size_t)e->ends[e->o.tasks - 1], sizeof *lengths);
    for (int t = 0; t < e->o.tasks; t++) {
        const int64_t begin = begin_of(e, t), n = e->ends[t] - begin;
        int64_t sum = 0;
        for (int64_t i = 0; i < n; i++) {
            const uint32_t row = e->o.rows[begin + i];
            lengths[i] = start[row + 1] - start[row];
        }
        qsort(lengths, (size_t)n, sizeof *lengths, longest_first);
        for (int64_t i = 0; i < e->o.batch_size; i++)
            sum += lengths[i];
        most = sum > most ? sum : most;
    }
    free(lengths);
    return most;
}
