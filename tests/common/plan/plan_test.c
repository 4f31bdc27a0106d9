/* The plan by what it promises: torch's order, each example once, equal cost, limits that hold. */
#include "common/plan/plan.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/plan/packing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MOST = 512, WIDTH = 16 };

typedef struct Data {
    int64_t start[MOST + 1];
    int64_t count;
} Data;

static Data of_lengths(const int *lengths, int64_t count)
{
    Data data = { .count = count };
    for (int64_t i = 0; i < count; i++)
        data.start[i + 1] = data.start[i] + lengths[i];
    return data;
}

/* Few long ones among many short ones. */
static Data uneven(int64_t count)
{
    Data data = { .count = count };
    for (int64_t i = 0; i < count; i++) {
        const uint32_t bits = rng_bits(rng_key(11, 0, 0, 0), (uint32_t)i);
        data.start[i + 1] = data.start[i] + 1 + bits % (i % 7 == 0 ? 400 : 40);
    }
    return data;
}

static int64_t length(const Data *data, int64_t row)
{
    return data->start[row + 1] - data->start[row];
}

static PlanOptions options(const Data *data, int64_t batch_size, int64_t micro_batches)
{
    return (PlanOptions){ .start = data->start,
                          .count = data->count,
                          .batch_size = batch_size,
                          .micro_batches = micro_batches,
                          .width = WIDTH };
}

static Plan *open_plan(const PlanOptions *o)
{
    Err err = { 0 };
    Plan *plan = plan_open(o, &err);
    assert_non_null(plan);
    return plan;
}

static void expect_rows(Plan *plan, int64_t step, int64_t m, const uint32_t *want, int64_t count)
{
    const uint32_t *rows;
    assert_int_equal(plan_micro_batch(plan, step, m, &rows), count);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(rows[i], want[i]);
}

/* ---- order --------------------------------------------------------------------------- */

static void without_a_shuffle_batches_follow_each_other_and_the_last_is_short(void **state)
{
    (void)state;
    const int lengths[] = { 3, 3, 3, 3, 3, 3, 3 };
    const Data data = of_lengths(lengths, 7);
    const PlanOptions o = options(&data, 3, 1);
    Plan *plan = open_plan(&o);
    assert_int_equal(plan_steps_per_epoch(plan), 3);
    for (int64_t epoch = 0; epoch < 2; epoch++) {
        expect_rows(plan, 3 * epoch, 0, (uint32_t[]){ 0, 1, 2 }, 3);
        expect_rows(plan, 3 * epoch + 1, 0, (uint32_t[]){ 3, 4, 5 }, 3);
        expect_rows(plan, 3 * epoch + 2, 0, (uint32_t[]){ 6 }, 1);
    }
    plan_close(plan);
}

/* torch.randperm(10) at seeds 42 and 43: Trainer's order of two epochs of a run with seed 42. */
static void epochs_have_torchs_order_at_the_seed_and_the_next(void **state)
{
    (void)state;
    static const uint32_t first[] = { 2, 6, 1, 8, 4, 5, 0, 9, 3, 7 };
    const int lengths[] = { 3, 3, 3, 3, 3, 3, 3, 3, 3, 3 };
    uint32_t second[10];
    rng_torch_randperm(second, 10, 43); /* golden/torch-order holds it to torch's */
    const Data data = of_lengths(lengths, 10);
    PlanOptions o = options(&data, 5, 1);
    o.shuffle = true;
    o.seed = 42;
    Plan *plan = open_plan(&o);
    expect_rows(plan, 3, 0, second + 5, 5); /* steps in any order */
    expect_rows(plan, 0, 0, first, 5);
    expect_rows(plan, 1, 0, first + 5, 5);
    expect_rows(plan, 2, 0, second, 5);
    plan_close(plan);
    static const uint32_t rows[] = { 20, 21, 22, 23, 24, 25, 26, 27, 28, 29 };
    Data more = uneven(40);
    o.start = more.start;
    o.rows = rows; /* the order is of places in `rows` */
    plan = open_plan(&o);
    expect_rows(plan, 0, 0, (uint32_t[]){ 22, 26, 21, 28, 24 }, 5);
    plan_close(plan);
}

/* ---- dealing ------------------------------------------------------------------------- */

static void the_longest_goes_first_into_the_emptiest(void **state)
{
    (void)state;
    const int lengths[] = { 5, 1, 4, 2, 3 };
    const Data data = of_lengths(lengths, 5);
    PlanOptions o = options(&data, 5, 2);
    o.width = 1000; /* 5 | 4, 4+3, 5+2: 7 and a little more than 7, so the last goes to the right */
    Plan *plan = open_plan(&o);
    expect_rows(plan, 0, 0, (uint32_t[]){ 0, 3 }, 2);
    expect_rows(plan, 0, 1, (uint32_t[]){ 1, 2, 4 }, 3);
    plan_close(plan);
}

static void equal_ones_go_round(void **state)
{
    (void)state;
    const int lengths[] = { 4, 4, 4, 4, 4, 4, 4, 4 };
    const Data data = of_lengths(lengths, 8);
    const PlanOptions o = options(&data, 8, 3);
    Plan *plan = open_plan(&o);
    expect_rows(plan, 0, 0, (uint32_t[]){ 0, 3, 6 }, 3);
    expect_rows(plan, 0, 1, (uint32_t[]){ 1, 4, 7 }, 3);
    expect_rows(plan, 0, 2, (uint32_t[]){ 2, 5 }, 2);
    plan_close(plan);
}

/* One of 12 beside two of 7: fewer tokens, more pairs of them. */
static void attention_counts(void **state)
{
    (void)state;
    const int lengths[] = { 12, 7, 7, 1 };
    const Data data = of_lengths(lengths, 4);
    PlanOptions o = options(&data, 4, 2);
    o.width = 1; /* 12 + 24 beside 2 (7 + 49/6) = 30.3: the short one goes to the two */
    Plan *plan = open_plan(&o);
    expect_rows(plan, 0, 0, (uint32_t[]){ 0 }, 1);
    expect_rows(plan, 0, 1, (uint32_t[]){ 1, 2, 3 }, 3);
    plan_close(plan);
    o.width = 1000000; /* 12 beside 14 */
    plan = open_plan(&o);
    expect_rows(plan, 0, 0, (uint32_t[]){ 0, 3 }, 2);
    expect_rows(plan, 0, 1, (uint32_t[]){ 1, 2 }, 2);
    plan_close(plan);
}

static double cost(const Data *data, uint32_t row)
{
    const double T = (double)length(data, row);
    return T + T * T / (6.0 * WIDTH);
}

/* Marks what the step's micro-batches hold, and checks that no one of them would be better off
 * without its cheapest example: then the emptiest is behind by less than one example. */
static void check_step(Plan *plan, const Data *data, int64_t step, int64_t M, int *seen)
{
    double load[MOST] = { 0 }, cheapest[MOST], least = 1e30;
    int64_t longest = 0;
    for (int64_t m = 0; m < M; m++) {
        const uint32_t *rows;
        const int64_t n = plan_micro_batch(plan, step, m, &rows);
        cheapest[m] = 1e30;
        for (int64_t i = 0; i < n; i++) {
            const int64_t tokens = data->start[rows[i] + 1] - data->start[rows[i]];
            longest = tokens > longest ? tokens : longest;
            seen[rows[i]]++;
            load[m] += cost(data, rows[i]);
            cheapest[m] = cost(data, rows[i]) < cheapest[m] ? cost(data, rows[i]) : cheapest[m];
        }
        least = load[m] < least ? load[m] : least;
    }
    for (int64_t m = 0; m < M; m++)
        assert_true(load[m] == 0 || load[m] - cheapest[m] <= least + 1e-6);
    assert_int_equal(plan_longest(plan, step), longest);
}

static void every_example_is_there_once_an_epoch_and_loads_are_even(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = { { 16, 4 }, { 64, 8 }, { 64, 7 }, { 10, 16 }, { 1, 1 }, { 333, 32 } };
    const Data data = uneven(333);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        PlanOptions o = options(&data, sizes[k][0], sizes[k][1]);
        o.shuffle = true;
        o.seed = k;
        Plan *plan = open_plan(&o);
        const int64_t steps = plan_steps_per_epoch(plan);
        for (int64_t epoch = 0; epoch < 2; epoch++) {
            int seen[MOST] = { 0 };
            for (int64_t t = 0; t < steps; t++)
                check_step(plan, &data, epoch * steps + t, sizes[k][1], seen);
            for (int64_t i = 0; i < data.count; i++)
                assert_int_equal(seen[i], 1);
        }
        plan_close(plan);
    }
}

typedef struct Dealt {
    double cost;
    int64_t at, m;
} Dealt;

static int dearest_first(const void *a, const void *b)
{
    const Dealt *x = a, *y = b;
    return x->cost != y->cost ? (x->cost < y->cost ? 1 : -1) : (x->at > y->at) - (x->at < y->at);
}

/* The rule as it is said, each time over all micro-batches; dealt[0, n): places of the batch, in their order. */
static void deal_plainly(Dealt *dealt, const Data *data, int64_t n, int64_t M)
{
    double load[MOST] = { 0 };
    int64_t owner[MOST];
    for (int64_t i = 0; i < n; i++)
        dealt[i] = (Dealt){ cost(data, (uint32_t)i), i, 0 };
    qsort(dealt, (size_t)n, sizeof *dealt, dearest_first);
    for (int64_t i = 0; i < n; i++) {
        int64_t least = 0;
        for (int64_t m = 1; m < M; m++)
            if (load[m] < load[least])
                least = m;
        load[least] += dealt[i].cost;
        owner[dealt[i].at] = least;
    }
    for (int64_t i = 0; i < n; i++)
        dealt[i] = (Dealt){ .at = i, .m = owner[i] };
}

static void the_rule_is_kept_for_any_number_of_micro_batches(void **state)
{
    (void)state;
    const Data data = uneven(333);
    for (int64_t M = 1; M < 400; M += M < 40 ? 1 : 37) {
        const PlanOptions o = options(&data, 333, M);
        Dealt want[MOST];
        Plan *plan = open_plan(&o);
        deal_plainly(want, &data, 333, M);
        for (int64_t m = 0; m < M; m++) {
            const uint32_t *rows;
            const int64_t n = plan_micro_batch(plan, 0, m, &rows);
            int64_t k = 0;
            for (int64_t i = 0; i < 333; i++)
                if (want[i].m == m) {
                    assert_true(k < n);
                    assert_int_equal(rows[k++], want[i].at);
                }
            assert_int_equal(k, n);
        }
        plan_close(plan);
    }
}

/* A million examples in half as many micro-batches: what takes their product would take hours. */
static void the_largest_step_is_dealt_and_bounded_at_once(void **state)
{
    (void)state;
    enum { COUNT = 1048576 };
    int64_t *start = xmalloc((COUNT + 1) * sizeof *start), tokens, examples;
    start[0] = 0;
    for (int64_t i = 0; i < COUNT; i++)
        start[i + 1] = start[i] + 1 + i * 7919 % 500;
    PlanOptions o = { .start = start, .count = COUNT, .batch_size = COUNT, .micro_batches = COUNT / 2, .width = 768 };
    const double begin = clock_now();
    const uint32_t *rows;
    Plan *plan = open_plan(&o);
    plan_limits(plan, 1000000000, &tokens, &examples);
    int64_t all = 0;
    for (int64_t m = 0; m < o.micro_batches; m++)
        all += plan_micro_batch(plan, 0, m, &rows);
    plan_close(plan);
    assert_int_equal(all, COUNT);
    o.shuffle = true;
    o.batch_size = 32;
    o.micro_batches = 8;
    plan = open_plan(&o); /* of few examples among many, over more steps than can be dealt */
    plan_limits(plan, 1000000000, &tokens, &examples);
    plan_close(plan);
    assert_in_range(tokens, 2000, 3000);
    assert_true(clock_now() - begin < 60); /* sanitizers and a busy machine included */
    free(start);
}

/* ---- limits, chunks ------------------------------------------------------------------- */

static void expect_limits(Plan *plan, int64_t steps, int64_t tokens, int64_t examples)
{
    int64_t got_tokens, got_examples;
    plan_limits(plan, steps, &got_tokens, &got_examples);
    assert_int_equal(got_tokens, tokens);
    assert_int_equal(got_examples, examples);
}

static void limits_are_the_largest_of_all_micro_batches_of_the_steps(void **state)
{
    (void)state;
    const int lengths[] = { 1, 1, 1, 1, /**/ 2, 9, 3, 1, /**/ 3, 3, 3, 3, /**/ 20 };
    const Data data = of_lengths(lengths, 13);
    PlanOptions o = options(&data, 4, 2);
    Plan *plan = open_plan(&o);
    expect_limits(plan, 0, 1, 1);
    expect_limits(plan, 1, 2, 2);
    expect_limits(plan, 2, 9, 3); /* 9 | 3 2 1 */
    expect_limits(plan, 3, 9, 3);
    expect_limits(plan, 4, 20, 3);
    expect_limits(plan, 40, 20, 3);
    plan_close(plan);
    o.micro_batches = 1;
    plan = open_plan(&o);
    expect_limits(plan, 3, 15, 4);
    expect_limits(plan, 4, 20, 4);
    plan_close(plan);
}

static int by_length(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x < y) - (x > y);
}

/* The longest first, so that the first batch without a shuffle is the dearest that can be. */
static Data sorted(const Data *data)
{
    int lengths[MOST];
    for (int64_t i = 0; i < data->count; i++)
        lengths[i] = (int)length(data, i);
    qsort(lengths, (size_t)data->count, sizeof *lengths, by_length);
    return of_lengths(lengths, data->count);
}

/* Also of more steps than can be dealt, and of the worst order. */
static void limits_of_endless_runs_hold(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = { { 16, 4 }, { 64, 8 },   { 64, 7 },    { 10, 16 }, { 1, 1 },
                                        { 32, 1 }, { 300, 32 }, { 331, 330 }, { 32, 31 } };
    const Data data = uneven(333), worst = sorted(&data);
    for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
        const int64_t B = sizes[k / 2][0], M = sizes[k / 2][1];
        PlanOptions o = options(&data, B, M);
        int64_t tokens, examples, some_tokens, some_examples;
        o.shuffle = true;
        o.width = k % 2 ? WIDTH : 768;
        Plan *plan = open_plan(&o);
        plan_limits(plan, 1000000000000, &tokens, &examples);
        plan_limits(plan, 400, &some_tokens, &some_examples);
        assert_true(some_tokens <= tokens && some_examples <= examples);
        plan_close(plan);
        o.start = worst.start;
        o.shuffle = false;
        plan = open_plan(&o);
        plan_limits(plan, 1000000000000, &some_tokens, &some_examples);
        assert_true(some_tokens <= tokens && some_examples <= examples);
        if (o.width == 768) /* not far above it */
            assert_in_range(tokens, some_tokens, some_tokens + some_tokens / 3);
        plan_close(plan);
    }
}

static void endless_runs_of_equal_examples_have_exact_limits(void **state)
{
    (void)state;
    int lengths[100];
    for (int i = 0; i < 100; i++)
        lengths[i] = 50;
    const Data data = of_lengths(lengths, 100);
    static const int64_t sizes[][3] = { { 32, 5, 7 }, { 32, 8, 4 }, { 32, 32, 1 }, { 7, 2, 4 }, { 32, 1, 32 } };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        PlanOptions o = options(&data, sizes[k][0], sizes[k][1]);
        o.shuffle = true;
        Plan *plan = open_plan(&o);
        int64_t tokens, examples;
        plan_limits(plan, 1000000000, &tokens, &examples);
        assert_int_equal(examples, sizes[k][2]);
        assert_in_range(tokens, 50 * examples, 50 * (examples + 1));
        plan_close(plan);
    }
}

static void orders_that_repeat_are_dealt_once(void **state)
{
    (void)state;
    const Data data = uneven(333);
    int64_t tokens, examples;
    PlanOptions o = options(&data, 16, 4);
    Plan *plan = open_plan(&o);
    plan_limits(plan, plan_steps_per_epoch(plan), &tokens, &examples);
    expect_limits(plan, 1000000000, tokens, examples);
    plan_close(plan);
    o = options(&data, 400, 4); /* each batch is all there is */
    o.shuffle = true;
    plan = open_plan(&o);
    plan_limits(plan, 20, &tokens, &examples);
    expect_limits(plan, 1000000000, tokens, examples);
    plan_close(plan);
}

static void empty_examples_have_limits_too(void **state)
{
    (void)state;
    const int lengths[] = { 0, 0, 5, 0, 9, 0 };
    const Data data = of_lengths(lengths, 6);
    PlanOptions o = options(&data, 4, 2);
    o.shuffle = true;
    Plan *plan = open_plan(&o);
    int64_t tokens, examples, some_tokens, some_examples;
    plan_limits(plan, 1000000000, &tokens, &examples);
    plan_limits(plan, 200, &some_tokens, &some_examples);
    assert_true(some_tokens <= tokens && some_examples <= examples);
    plan_close(plan);
}

static void chunks_are_as_long_as_they_may_be(void **state)
{
    (void)state;
    const int lengths[] = { 4, 4, 2, 1, 30, 5, 5, 10 };
    const Data data = of_lengths(lengths, 8);
    int64_t *ends;
    assert_int_equal(plan_chunks(data.start, NULL, 8, 1, 10, &ends), 5);
    const int64_t want[] = { 3, 4, 5, 7, 8 }; /* 10 | 1 | 30, longer than allowed | 10 | 10 */
    assert_memory_equal(ends, want, sizeof want);
    free(ends);
    static const uint32_t rows[] = { 7, 2, 3 };
    assert_int_equal(plan_chunks(data.start, rows, 3, 1, 12, &ends), 2); /* 10 2 | 1 */
    assert_int_equal(ends[0], 2);
    assert_int_equal(ends[1], 3);
    free(ends);
    assert_int_equal(plan_chunks(data.start, NULL, 0, 1, 10, &ends), 0);
    free(ends);
}

/* ---- packs -------------------------------------------------------------------------------- */

static void the_tightest_pack_takes_the_longest(void **state)
{
    (void)state;
    const int lengths[] = { 3, 9, 5, 5, 1, 12, 2, 7 };
    const Data data = of_lengths(lengths, 8);
    uint32_t rows[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    int64_t *ends;
    /* 12 is too long for any; 9+1; 7+3; 5+5; 2 */
    static const uint32_t want[] = { 5, 1, 4, 0, 7, 2, 3, 6 };
    static const int64_t want_ends[] = { 1, 3, 5, 7, 8 };
    assert_int_equal(packing_group(rows, 8, data.start, 10, &ends), 5);
    assert_memory_equal(rows, want, sizeof want);
    assert_memory_equal(ends, want_ends, sizeof want_ends);
    free(ends);
}

static void packs_hold_each_row_once_and_are_full(void **state)
{
    (void)state;
    const Data data = uneven(MOST);
    uint32_t rows[MOST];
    bool seen[MOST] = { false };
    int64_t *ends, all = 0;
    for (int64_t i = 0; i < MOST; i++)
        rows[i] = (uint32_t)(MOST - 1 - i);
    const int64_t packs = packing_group(rows, MOST, data.start, 512, &ends);
    for (int64_t p = 0, k = 0; p < packs; p++) {
        int64_t tokens = 0;
        assert_true(k < ends[p]);
        for (; k < ends[p]; k++) {
            assert_false(seen[rows[k]]);
            seen[rows[k]] = true;
            tokens += length(&data, rows[k]);
        }
        assert_true(tokens <= 512);
        all += tokens;
    }
    assert_int_equal(ends[packs - 1], MOST);
    assert_int_equal(all, data.start[MOST]);
    assert_true((double)all > 0.97 * 512.0 * (double)packs);
    free(ends);
}

static void a_pack_is_one_example(void **state)
{
    (void)state;
    const int lengths[] = { 1, 2, 3, 4, 5, 6 };
    const Data data = of_lengths(lengths, 6);
    static const uint32_t rows[] = { 5, 0, 4, 1, 3, 2 };
    static const int64_t ends[] = { 2, 5, 6 };
    PlanOptions o = options(&data, 2, 1);
    o.rows = rows;
    o.ends = ends;
    o.count = 3;
    Plan *plan = open_plan(&o);
    assert_int_equal(plan_steps_per_epoch(plan), 2);
    expect_rows(plan, 0, 0, (uint32_t[]){ 5, 0, 4, 1, 3 }, 5);
    expect_rows(plan, 1, 0, (uint32_t[]){ 2 }, 1);
    int64_t tokens, most;
    plan_limits(plan, 2, &tokens, &most);
    assert_int_equal(tokens, 18);
    assert_int_equal(most, 5);
    plan_close(plan);
    o.micro_batches = 2;
    plan = open_plan(&o);
    expect_rows(plan, 0, 0, (uint32_t[]){ 4, 1, 3 }, 3); /* 11 tokens before 7 */
    expect_rows(plan, 0, 1, (uint32_t[]){ 5, 0 }, 2);
    plan_close(plan);
}

static void limits_of_endless_runs_hold_for_packs(void **state)
{
    (void)state;
    const Data data = uneven(MOST);
    uint32_t rows[MOST];
    int64_t *ends, tokens, most, some_tokens, some_most;
    for (int64_t i = 0; i < MOST; i++)
        rows[i] = (uint32_t)i;
    PlanOptions o = options(&data, 16, 3);
    o.count = packing_group(rows, MOST, data.start, 420, &ends);
    o.rows = rows;
    o.ends = ends;
    o.shuffle = true;
    o.width = 768;
    Plan *plan = open_plan(&o);
    plan_limits(plan, 1000000000000, &tokens, &most);
    plan_limits(plan, 400, &some_tokens, &some_most);
    assert_true(some_tokens <= tokens && some_most <= most);
    assert_true(tokens <= 2 * some_tokens);
    plan_close(plan);
    free(ends);
}

static void no_examples_are_an_error(void **state)
{
    (void)state;
    Err err = { 0 };
    const Data data = { .count = 0 };
    const PlanOptions o = options(&data, 4, 2);
    assert_null(plan_open(&o, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_string_equal(err.what, "there are no examples to train on");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_shuffle_batches_follow_each_other_and_the_last_is_short),
        cmocka_unit_test(epochs_have_torchs_order_at_the_seed_and_the_next),
        cmocka_unit_test(the_longest_goes_first_into_the_emptiest),
        cmocka_unit_test(equal_ones_go_round),
        cmocka_unit_test(attention_counts),
        cmocka_unit_test(every_example_is_there_once_an_epoch_and_loads_are_even),
        cmocka_unit_test(the_rule_is_kept_for_any_number_of_micro_batches),
        cmocka_unit_test(the_largest_step_is_dealt_and_bounded_at_once),
        cmocka_unit_test(limits_are_the_largest_of_all_micro_batches_of_the_steps),
        cmocka_unit_test(limits_of_endless_runs_hold),
        cmocka_unit_test(endless_runs_of_equal_examples_have_exact_limits),
        cmocka_unit_test(orders_that_repeat_are_dealt_once),
        cmocka_unit_test(empty_examples_have_limits_too),
        cmocka_unit_test(chunks_are_as_long_as_they_may_be),
        cmocka_unit_test(the_tightest_pack_takes_the_longest),
        cmocka_unit_test(packs_hold_each_row_once_and_are_full),
        cmocka_unit_test(a_pack_is_one_example),
        cmocka_unit_test(limits_of_endless_runs_hold_for_packs),
        cmocka_unit_test(no_examples_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
