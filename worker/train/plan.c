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

/* Of an example of T tokens: products, and attention. */
static double cost_of(const Plan *p, int64_t T)
{
    return (double)T + (double)T * (double)T / (6.0 * (double)p->o.width);
}

static void deal(Plan *p, const uint32_t *batch, int64_t n)
{
    const int64_t M = p->o.micro_batches;
    for (int64_t i = 0; i < n; i++) {
        p->items[i] = (Item){ cost_of(p, p->o.start[batch[i] + 1] - p->o.start[batch[i]]), i };
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

/* ---- limits -------------------------------------------------------------------------------- */

static int64_t length_of(const Plan *p, int64_t i)
{
    const int64_t row = p->o.rows ? p->o.rows[i] : i;
    return p->o.start[row + 1] - p->o.start[row];
}

/* Of each micro-batch of these steps. */
static void measure(Plan *p, int64_t steps, int64_t *tokens, int64_t *examples)
{
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

static int longest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* What no deal can pass, whatever the order. Let the last example of a micro-batch cost c, and all of
 * the batch S. It went to the emptiest of M, so that what lay there cost at most (S - c) / M, and no
 * example there costs less than c: n <= 1 + (S / c - 1) / M. The first M examples lie alone; so a
 * second one is at most the batch's (M+1)-th dearest, and the whole at most S / M + (1 - 1 / M) c.
 * S is at most that of the B dearest examples of all. A token of a long example costs the most, one of
 * the shortest the least. */
static void bound(const Plan *p, int64_t *tokens, int64_t *examples)
{
    const double slack = 1 + 1e-9; /* loads are sums of rounded numbers */
    const int64_t N = p->o.count, M = p->o.micro_batches, B = p->o.batch_size < N ? p->o.batch_size : N;
    int64_t *T = xmalloc((size_t)N * sizeof *T), most = 0;
    for (int64_t i = 0; i < N; i++)
        T[i] = length_of(p, i);
    qsort(T, (size_t)N, sizeof *T, longest_first);
    double S = 0;
    for (int64_t i = 0; i < B; i++) {
        S += cost_of(p, T[i]);
        most += T[i];
    }
    const int64_t shortest = T[N - 1] > 0 ? T[N - 1] : 1;
    *tokens = T[0] > 1 ? T[0] : 1;
    *examples = 1;
    if (B > M) {
        const double m = (double)M, dearest = S / m + (1 - 1 / m) * cost_of(p, T[M]);
        const double sum = dearest / (cost_of(p, shortest) / (double)shortest) * slack;
        const double n = 1 + (S / cost_of(p, shortest) - 1) / m * slack;
        *tokens = sum > (double)*tokens ? (int64_t)sum : *tokens;
        *examples = n < (double)(B - M + 1) ? (int64_t)n : B - M + 1;
    }
    if (T[N - 1] == 0) /* what costs nothing may all lie together */
        *examples = B;
    if (*tokens > most && most > 0)
        *tokens = most;
    free(T);
}

/* How many steps hold all that there are: an order that does not change repeats itself, and so do
 * batches that are the whole data. */
static int64_t different_steps(const Plan *p, int64_t steps)
{
    const int64_t per_epoch = plan_steps_per_epoch(p);
    return steps > per_epoch && (!p->o.shuffle || per_epoch == 1) ? per_epoch : steps;
}

void plan_limits(Plan *p, int64_t steps, int64_t *tokens, int64_t *examples)
{
    const double most_work = 3e8; /* about half a second */
    const double B = (double)p->o.batch_size, N = (double)p->o.count;
    const int64_t different = different_steps(p, steps);
    const double epochs = (double)different / (double)plan_steps_per_epoch(p) + 1;
    *tokens = *examples = 1;
    if ((double)different * B * (2 * (double)p->o.micro_batches + 32) + epochs * 8 * N <= most_work)
        measure(p, different, tokens, examples);
    else
        bound(p, tokens, examples);
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
