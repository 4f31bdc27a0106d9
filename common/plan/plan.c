#include "common/plan/plan.h"

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/plan/steps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Item {
    double cost;
    int64_t at; /* place in the batch */
} Item;

/* A micro-batch and what lies in it; or any number and its place. */
typedef struct Pile {
    double load;
    int64_t m;
} Pile;

struct Plan {
    PlanOptions o;
    int64_t epoch; /* that `order` is of; -1: none */
    int64_t step; /* that is dealt; -1: none */
    uint32_t *order; /* [count] examples */
    Item *items; /* [most_examples] */
    int64_t *owner; /* [most_examples] micro-batch of each place */
    Pile *piles; /* [micro_batches] a heap, the emptiest first */
    uint32_t *rows; /* of the step, by micro-batch */
    int64_t *begin; /* [micro_batches + 1] into rows */
};

typedef struct RowSpan {
    int64_t begin, end;
} RowSpan;

/* Example i is the rows [begin, end) of what is trained on. */
static RowSpan rows_of(const PlanOptions *o, int64_t i)
{
    return o->ends ? (RowSpan){ i > 0 ? o->ends[i - 1] : 0, o->ends[i] } : (RowSpan){ i, i + 1 };
}

static int64_t row_at(const PlanOptions *o, int64_t k)
{
    return o->rows ? o->rows[k] : k;
}

/* Of an example. */
static int64_t most_rows(const PlanOptions *o)
{
    int64_t largest = 1;
    for (int64_t i = 0; o->ends && i < o->count; i++) {
        const RowSpan r = rows_of(o, i);
        largest = r.end - r.begin > largest ? r.end - r.begin : largest;
    }
    return largest;
}

/* Examples of a step. */
static int64_t most_examples(const PlanOptions *o)
{
    return o->batch_size < o->count ? o->batch_size : o->count;
}

static int64_t length_of(const PlanOptions *o, int64_t k)
{
    const int64_t row = row_at(o, k);
    return o->start[row + 1] - o->start[row];
}

/* Of a row of T tokens: products, and attention. */
static double row_cost(const PlanOptions *o, int64_t T)
{
    return (double)T + (double)T * (double)T / (6.0 * (double)o->width);
}

/* Of an example. */
static double cost_of(const PlanOptions *o, int64_t i)
{
    const RowSpan r = rows_of(o, i);
    double cost = 0;
    if (o->padded)
        return 1;
    for (int64_t k = r.begin; k < r.end; k++)
        cost += row_cost(o, length_of(o, k));
    return cost;
}

static int64_t tokens_of(const PlanOptions *o, int64_t i)
{
    const RowSpan r = rows_of(o, i);
    int64_t tokens = 0;
    for (int64_t k = r.begin; k < r.end; k++)
        tokens += length_of(o, k);
    return tokens;
}

Plan *plan_open(const PlanOptions *options, Err *err)
{
    REQUIRE(!options->padded || !options->ends); /* packs are rows without padding */
    if (options->count <= 0) {
        err_set(err, ERR_INPUT, "there are no examples to train on");
        return NULL;
    }
    REQUIRE(options->batch_size > 0 && options->micro_batches > 0);
    Plan *p = xcalloc(1, sizeof *p);
    p->o = *options;
    p->epoch = p->step = -1;
    p->order = xmalloc((size_t)options->count * sizeof *p->order);
    p->items = xmalloc((size_t)most_examples(options) * sizeof *p->items);
    p->owner = xmalloc((size_t)most_examples(options) * sizeof *p->owner);
    p->rows = xmalloc((size_t)(most_examples(options) * most_rows(options)) * sizeof *p->rows);
    p->piles = xmalloc((size_t)options->micro_batches * sizeof *p->piles);
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
    free(p->piles);
    free(p->begin);
    free(p);
}

int64_t plan_steps_per_epoch(const Plan *p)
{
    return steps_per_epoch(p->o.count, p->o.batch_size);
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
    p->epoch = epoch;
}

static int dearest_first(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    if (x->cost != y->cost)
        return x->cost < y->cost ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

/* ---- a heap: the least load first, of equal ones the lower number --------------------------- */

static bool is_before(const Pile *a, const Pile *b)
{
    return a->load < b->load || (a->load == b->load && a->m < b->m);
}

/* heap[i] may have grown. */
static void sink(Pile *heap, int64_t n, int64_t i)
{
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && is_before(&heap[child + 1], &heap[child]);
        if (!is_before(&heap[child], &heap[i]))
            return;
        const Pile up = heap[child];
        heap[child] = heap[i];
        heap[i] = up;
    }
}

/* ---- dealing --------------------------------------------------------------------------------- */

/* Puts the rows of each micro-batch behind those of the one before, in the order of the batch. */
static void lay_out(Plan *p, const uint32_t *batch, int64_t n)
{
    const int64_t M = p->o.micro_batches;
    memset(p->begin, 0, (size_t)(M + 1) * sizeof *p->begin);
    for (int64_t i = 0; i < n; i++) {
        const RowSpan r = rows_of(&p->o, batch[i]);
        p->begin[p->owner[i] + 1] += r.end - r.begin;
    }
    for (int64_t m = 0; m < M; m++)
        p->begin[m + 1] += p->begin[m];
    for (int64_t i = 0; i < n; i++) {
        const RowSpan r = rows_of(&p->o, batch[i]);
        for (int64_t k = r.begin; k < r.end; k++)
            p->rows[p->begin[p->owner[i]]++] = (uint32_t)row_at(&p->o, k);
    }
    for (int64_t m = M; m > 0; m--) /* each stands at the next one's begin now */
        p->begin[m] = p->begin[m - 1];
    p->begin[0] = 0;
}

static void deal(Plan *p, const uint32_t *batch, int64_t n)
{
    const int64_t M = p->o.micro_batches;
    for (int64_t i = 0; i < n; i++)
        p->items[i] = (Item){ cost_of(&p->o, batch[i]), i };
    qsort(p->items, (size_t)n, sizeof *p->items, dearest_first);
    for (int64_t m = 0; m < M; m++)
        p->piles[m] = (Pile){ 0, m };
    for (int64_t i = 0; i < n; i++) {
        Pile *emptiest = p->piles;
        p->owner[p->items[i].at] = emptiest->m;
        emptiest->load += p->items[i].cost;
        sink(p->piles, M, 0);
    }
    lay_out(p, batch, n);
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

int64_t plan_longest(Plan *p, int64_t step)
{
    int64_t longest = 0;
    for (int64_t m = 0; m < p->o.micro_batches; m++) {
        const uint32_t *rows;
        const int64_t n = plan_micro_batch(p, step, m, &rows);
        for (int64_t i = 0; i < n; i++) {
            const int64_t tokens = p->o.start[rows[i] + 1] - p->o.start[rows[i]];
            longest = tokens > longest ? tokens : longest;
        }
    }
    return longest;
}

/* ---- limits -------------------------------------------------------------------------------- */

/* Of each micro-batch of these steps. */
static void measure(Plan *p, int64_t steps, int64_t *tokens, int64_t *most)
{
    for (int64_t step = 0; step < steps; step++) {
        const int64_t width = p->o.padded ? plan_longest(p, step) : 0;
        for (int64_t m = 0; m < p->o.micro_batches; m++) {
            const uint32_t *rows;
            const int64_t n = plan_micro_batch(p, step, m, &rows);
            int64_t sum = n * width;
            for (int64_t i = 0; i < n && !p->o.padded; i++)
                sum += p->o.start[rows[i] + 1] - p->o.start[rows[i]];
            *tokens = sum > *tokens ? sum : *tokens;
            *most = n > *most ? n : *most;
        }
    }
}

/* The largest of the numbers that are added, as many as there is room for. */
typedef struct Largest {
    Pile *heap; /* [room] the least of them first */
    int64_t count, room;
} Largest;

static void add(Largest *l, double number)
{
    const Pile one = { number, l->count };
    if (l->count < l->room) {
        l->heap[l->count++] = one;
        for (int64_t i = l->count / 2; l->count == l->room && i-- > 0;)
            sink(l->heap, l->count, i);
    } else if (number > l->heap[0].load) {
        l->heap[0] = one;
        sink(l->heap, l->count, 0);
    }
}

static int largest_first(const void *a, const void *b)
{
    const Pile *x = a, *y = b;
    return (x->load < y->load) - (x->load > y->load);
}

static double sum_of(const Largest *l)
{
    double sum = 0;
    for (int64_t i = 0; i < l->count; i++)
        sum += l->heap[i].load;
    return sum;
}

/* What a bound is made of: the B dearest examples and the B longest, falling, and the cheapest. */
typedef struct Extremes {
    Largest cost, tokens;
    double cheapest, token; /* example that is not empty; cost of a token where it is least */
    bool empty; /* there are examples without a token */
} Extremes;

static Extremes extremes_of(const PlanOptions *o)
{
    const int64_t B = most_examples(o);
    Extremes e = { .cost = { xmalloc((size_t)B * sizeof(Pile)), 0, B },
                   .tokens = { xmalloc((size_t)B * sizeof(Pile)), 0, B },
                   .cheapest = INFINITY,
                   .token = INFINITY };
    for (int64_t i = 0; i < o->count; i++) {
        const double cost = cost_of(o, i), T = (double)tokens_of(o, i);
        add(&e.cost, cost);
        add(&e.tokens, T);
        e.empty = e.empty || T <= 0;
        e.cheapest = T > 0 ? fmin(e.cheapest, cost) : e.cheapest;
        e.token = T > 0 ? fmin(e.token, cost / T) : e.token;
    }
    if (e.cheapest == INFINITY)
        e.cheapest = e.token = row_cost(o, 1);
    qsort(e.cost.heap, (size_t)B, sizeof(Pile), largest_first);
    qsort(e.tokens.heap, (size_t)B, sizeof(Pile), largest_first);
    return e;
}

/* What no deal can pass, whatever the order. Let the last example of a micro-batch cost c, and all of
 * the batch S. It went to the emptiest of M, so that what lay there cost at most (S - c) / M, and no
 * example there costs less than c: n <= 1 + (S / c - 1) / M. The first M examples lie alone; so a
 * second one is at most the batch's (M+1)-th dearest, and the whole at most S / M + (1 - 1 / M) c.
 * S is at most that of the B dearest examples of all. No token costs less than one of the example
 * whose tokens are the cheapest: without packs, of the shortest. */
static void bound(const Plan *p, int64_t *tokens, int64_t *rows)
{
    const double slack = 1 + 1e-9; /* loads are sums of rounded numbers */
    const PlanOptions *o = &p->o;
    const int64_t M = o->micro_batches, B = most_examples(o);
    Extremes e = extremes_of(o);
    const double S = sum_of(&e.cost), most = sum_of(&e.tokens);
    double sum = fmax(e.tokens.heap[0].load, 1);
    int64_t examples = 1;
    if (B > M) {
        const double m = (double)M, dearest = (S / m + (1 - 1 / m) * e.cost.heap[M].load) / e.token * slack;
        const double n = 1 + (S / e.cheapest - 1) / m * slack;
        sum = fmax(dearest, sum);
        examples = n < (double)(B - M + 1) ? (int64_t)n : B - M + 1;
    }
    if (e.empty) /* what costs nothing may all lie together */
        examples = B;
    *tokens = (int64_t)(sum > most && most > 0 ? most : sum);
    *rows = examples * most_rows(o);
    free(e.cost.heap);
    free(e.tokens.heap);
}

/* Rows that all cost the same are dealt evenly. */
static void bound_padded(const Plan *p, int64_t *tokens, int64_t *rows)
{
    const PlanOptions *o = &p->o;
    int64_t longest = 1;
    for (int64_t i = 0; i < o->count; i++)
        longest = length_of(o, i) > longest ? length_of(o, i) : longest;
    *rows = (most_examples(o) + o->micro_batches - 1) / o->micro_batches;
    *tokens = *rows * longest;
}

/* How many steps hold all that there are: an order that does not change repeats itself, and so do
 * batches that are the whole data. */
static int64_t different_steps(const Plan *p, int64_t steps)
{
    const int64_t per_epoch = plan_steps_per_epoch(p);
    return steps > per_epoch && (!p->o.shuffle || per_epoch == 1) ? per_epoch : steps;
}

/* About how many small operations it is to deal so many steps: the orders of their epochs, costs and heaps. */
static double work_of(const Plan *p, int64_t steps)
{
    const PlanOptions *o = &p->o;
    const double B = (double)most_examples(o), M = (double)o->micro_batches, N = (double)o->count;
    const double rows = o->ends ? (double)o->ends[o->count - 1] : N,
                 epochs = (double)steps / (double)plan_steps_per_epoch(p) + 1;
    return (double)steps * (B * (32 + 2 * log2(B + 1) + 4 * log2(M + 1)) + 4 * M) + epochs * (8 * N + 4 * rows);
}

void plan_limits(Plan *p, int64_t steps, int64_t *tokens, int64_t *rows)
{
    const double most_work = 3e8; /* about half a second */
    const int64_t different = different_steps(p, steps);
    *tokens = *rows = 1;
    if (work_of(p, different) <= most_work)
        measure(p, different, tokens, rows);
    else if (p->o.padded)
        bound_padded(p, tokens, rows);
    else
        bound(p, tokens, rows);
}

/* Chunks that are cut between examples: each of so many tokens at the most, or of one example. */
typedef struct Cut {
    int64_t *ends, count, tokens, most_tokens;
} Cut;

/* The next example begins at row `at` and has T tokens. */
static void cut_before(Cut *cut, int64_t at, int64_t T)
{
    if (cut->tokens > 0 && cut->tokens + T > cut->most_tokens) {
        cut->ends[cut->count++] = at;
        cut->tokens = 0;
    }
    cut->tokens += T;
}

static int64_t cut_end(Cut *cut, int64_t rows, int64_t **ends)
{
    if (rows > 0)
        cut->ends[cut->count++] = rows;
    *ends = cut->ends;
    return cut->count;
}

int64_t plan_chunks(const int64_t *start, const uint32_t *rows, int64_t count, int64_t columns, int64_t most_tokens,
                    int64_t **ends)
{
    Cut cut = { .ends = xmalloc((size_t)(count + 1) * sizeof *cut.ends), .most_tokens = most_tokens };
    for (int64_t i = 0; i < count; i += columns) {
        int64_t T = 0;
        for (int64_t k = i; k < i + columns; k++) {
            const int64_t row = rows ? rows[k] : k;
            T += start[row + 1] - start[row];
        }
        cut_before(&cut, i, T);
    }
    return cut_end(&cut, count, ends);
}

int64_t plan_chunks_of_groups(const int64_t *start, const int64_t *group, const uint32_t *rows, int64_t count,
                              int64_t most_tokens, int64_t **ends)
{
    Cut cut = { .ends = xmalloc((size_t)(count + 1) * sizeof *cut.ends), .most_tokens = most_tokens };
    for (int64_t i = 0, next; i < count; i = next) {
        int64_t T = 0;
        for (next = i; next < count && group[rows[next]] == group[rows[i]]; next++)
            T += start[rows[next] + 1] - start[rows[next]];
        cut_before(&cut, i, T);
    }
    return cut_end(&cut, count, ends);
}
