#include "worker/train/plan.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <stdlib.h>
#include <string.h>

typedef struct Item {
    double cost;
    int64_t at; /* place in the batch */
} Item;

struct Plan {
    PlanOptions o;
    int64_t epoch; /* that `order` is of; -1: none */
    int64_t step;  /* that is dealt; -1: none */
    uint32_t *order;
    Item *items;     /* [batch_size] */
    int64_t *owner;  /* [batch_size] micro-batch of each place */
    double *load;    /* [micro_batches] */
    uint32_t *rows;  /* [batch_size] by micro-batch */
    int64_t *begin;  /* [micro_batches + 1] into rows */
};

Plan *plan_open(const PlanOptions *options, Err *err)
{
    if (options->count <= 0) {
        err_set(err, ERR_INPUT, "there are no examples to train on");
        return NULL;
    }
    REQUIRE(options->batch_size > 0 && options->micro_batches > 0);
    Plan *p = xcalloc(1, sizeof *p);
    p->o = *options;
    p->epoch = p->step = -1;
    p->order = xmalloc((size_t)options->count * sizeof *p->order);
    p->items = xmalloc((size_t)options->batch_size * sizeof *p->items);
    p->owner = xmalloc((size_t)options->batch_size * sizeof *p->owner);
    p->rows = xmalloc((size_t)options->batch_size * sizeof *p->rows);
    p->load = xmalloc((size_t)options->micro_batches * sizeof *p->load);
    p->begin = xmalloc((size_t)(options->micro_batches + 1) * sizeof *p->begin);
    return p;
}

void plan_close(Plan *p)
{
    if (!p)
        return;
    free(p->order);
    free(p->items);
    free(p->owner);
    free(p->rows);
    free(p->load);
    free(p->begin);
    free(p);
}

int64_t plan_steps_per_epoch(const Plan *p)
{
    return (p->o.count + p->o.batch_size - 1) / p->o.batch_size;
}

static void shuffle(Plan *p, int64_t epoch)
{
    if (epoch == p->epoch)
        return;
    if (p->o.shuffle)
        rng_torch_randperm(p->order, p->o.count, p->o.seed + (uint64_t)epoch);
    else
        for (int64_t i = 0; i < p->o.count; i++)
            p->order[i] = (uint32_t)i;
    if (p->o.rows)
        for (int64_t i = 0; i < p->o.count; i++)
            p->order[i] = p->o.rows[p->order[i]];
    p->epoch = epoch;
}

static int dearest_first(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    if (x->cost != y->cost)
        return x->cost < y->cost ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

static void deal(Plan *p, const uint32_t *batch, int64_t n)
{
    const int64_t M = p->o.micro_batches;
    for (int64_t i = 0; i < n; i++) {
        const double T = (double)(p->o.start[batch[i] + 1] - p->o.start[batch[i]]);
        p->items[i] = (Item){ T + T * T / (6.0 * (double)p->o.width), i };
    }
    qsort(p->items, (size_t)n, sizeof *p->items, dearest_first);
    memset(p->load, 0, (size_t)M * sizeof *p->load);
    memset(p->begin, 0, (size_t)(M + 1) * sizeof *p->begin);
    for (int64_t i = 0; i < n; i++) {
        int64_t m = 0;
        for (int64_t k = 1; k < M; k++)
            if (p->load[k] < p->load[m])
                m = k;
        p->load[m] += p->items[i].cost;
        p->owner[p->items[i].at] = m;
        p->begin[m + 1]++;
    }
    for (int64_t m = 0; m < M; m++)
        p->begin[m + 1] += p->begin[m];
    for (int64_t m = 0, at = 0; m < M; m++)
        for (int64_t i = 0; i < n; i++)
            if (p->owner[i] == m)
                p->rows[at++] = batch[i];
}

int64_t plan_micro_batch(Plan *p, int64_t step, int64_t m, const uint32_t **rows)
{
    REQUIRE(m >= 0 && m < p->o.micro_batches && step >= 0);
    if (step != p->step) {
        const int64_t per_epoch = plan_steps_per_epoch(p);
        const int64_t at = step % per_epoch * p->o.batch_size;
        const int64_t left = p->o.count - at;
        shuffle(p, step / per_epoch);
        deal(p, p->order + at, left < p->o.batch_size ? left : p->o.batch_size);
        p->step = step;
    }
    *rows = p->rows + p->begin[m];
    return p->begin[m + 1] - p->begin[m];
}

void plan_limits(Plan *p, int64_t steps, int64_t *tokens, int64_t *examples)
{
    *tokens = *examples = 1;
    for (int64_t step = 0; step < steps; step++) {
        for (int64_t m = 0; m < p->o.micro_batches; m++) {
            const uint32_t *rows;
            const int64_t n = plan_micro_batch(p, step, m, &rows);
            int64_t sum = 0;
            for (int64_t i = 0; i < n; i++)
                sum += p->o.start[rows[i] + 1] - p->o.start[rows[i]];
            *tokens = sum > *tokens ? sum : *tokens;
            *examples = n > *examples ? n : *examples;
        }
    }
}

int64_t plan_chunks(const int64_t *start, const uint32_t *rows, int64_t count, int64_t most_tokens, int64_t **ends)
{
    int64_t *out = xmalloc((size_t)(count + 1) * sizeof *out), n = 0, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = rows ? rows[i] : i, T = start[row + 1] - start[row];
        if (sum > 0 && sum + T > most_tokens) {
            out[n++] = i;
            sum = 0;
        }
        sum += T;
    }
    if (count > 0)
        out[n++] = count;
    *ends = out;
    return n;
}
