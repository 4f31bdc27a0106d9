#include "tests/worker/kernels/support.h"

static const int64_t sizes[][2] = { { 1, 1 }, { 3, 2 }, { 5, 17 }, { 7, 513 }, { 9, 5001 } };

/* Wide rows against exponentials in double; every fourth row has no goal. */
static void check_wide(int64_t N, int64_t V, float deviation, double e)
{
    float *logits = random_new(N * V, deviation, 1), *left = random_new(N * V, deviation, 1);
    RowLoss loss[16], alone[16];
    double *expected = doubles_new(V);
    int32_t goal[16];
    for (int64_t n = 0; n < N; n++)
        goal[n] = n % 4 == 2 ? -100 : (int32_t)(n * 7 % V);
    kernels->wide_cross_entropy(left, alone, goal, N, V, e, false);
    kernels->wide_cross_entropy(logits, loss, goal, N, V, e, true);
    for (int64_t n = 0; n < N; n++) {
        double max = -INFINITY, sum = 0.0;
        for (int64_t v = 0; v < V; v++)
            max = fmax(max, (double)left[n * V + v]);
        for (int64_t v = 0; v < V; v++)
            sum += expected[v] = exp((double)left[n * V + v] - max);
        double spread = 0;
        for (int64_t v = 0; v < V && goal[n] != -100; v++)
            spread += (max + log(sum) - (double)left[n * V + v]) / (double)V;
        for (int64_t v = 0; v < V; v++)
            expected[v] = goal[n] == -100 ? 0.0 : expected[v] / sum - (v == goal[n] ? 1.0 - e : 0.0) - e / (double)V;
        const double own = goal[n] == -100 ? 0.0 : max + log(sum) - (double)left[n * V + goal[n]];
        check_near("plain loss", n, loss[n].plain, own, 1e-6);
        check_near("loss", n, loss[n].loss, (1 - e) * own + e * spread, 1e-6);
        assert_true(alone[n].loss == loss[n].loss && alone[n].plain == loss[n].plain);
        check_all_near("gradient", logits + n * V, expected, V, 1e-6);
    }
    float *before = random_new(N * V, deviation, 1);
    check_same_bits("logits without a gradient", left, before, N * V);
    guarded_free(before, N * V);
    guarded_free(logits, N * V);
    guarded_free(left, N * V);
    free(expected);
}

static void wide_rows_give_loss_and_gradient_in_place(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        check_wide(sizes[s][0], sizes[s][1], 2.0f, 0);
}

static void smoothing_spreads_a_share_of_the_goal_over_all_columns(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        check_wide(sizes[s][0], sizes[s][1], 2.0f, 0.2);
}

static void large_logits_do_not_overflow(void **state)
{
    (void)state;
    check_wide(5, 1027, 300.0f, 0);
    float logits[] = { 3e4f, -3e4f, -3e4f };
    const int32_t goal[] = { 1 };
    RowLoss loss;
    kernels->wide_cross_entropy(logits, &loss, goal, 1, 3, 0, true);
    check_near("loss", 0, loss.loss, 6e4, 1e-12);
    assert_true(logits[0] == 1.0f && logits[1] == -1.0f && logits[2] == 0.0f);
}

/* A loss that is not a number must stay one, for the check on the loss to see it. */
static void what_is_not_a_number_reaches_the_loss(void **state)
{
    (void)state;
    for (int32_t at = 0; at < 40; at++) {
        float *logits = random_new(40, 1.0f, 1);
        const int32_t goal[] = { 3 };
        RowLoss loss;
        logits[at] = NAN;
        kernels->wide_cross_entropy(logits, &loss, goal, 1, 40, 0, false);
        if (!isnan(loss.loss))
            fail_msg("logit %d is not a number, the loss is %g", (int)at, loss.loss);
        guarded_free(logits, 40);
    }
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    enum { N = 13, V = 5003 };
    float *one = random_new(N * V, 2.0f, 1), *two = random_new(N * V, 2.0f, 1);
    const int32_t goal[N] = { 1, 2, -100, 4, 5002, 0, 7, 8, 9, -100, 11, 12, 13 };
    RowLoss loss[2][N];
    omp_set_num_threads(1);
    kernels->wide_cross_entropy(one, loss[0], goal, N, V, 0.1, true);
    omp_set_num_threads(2);
    kernels->wide_cross_entropy(two, loss[1], goal, N, V, 0.1, true);
    check_same_bits("gradient", one, two, N * V);
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    guarded_free(one, N * V);
    guarded_free(two, N * V);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_rows_give_loss_and_gradient_in_place),
        cmocka_unit_test(smoothing_spreads_a_share_of_the_goal_over_all_columns),
        cmocka_unit_test(large_logits_do_not_overflow),
        cmocka_unit_test(what_is_not_a_number_reaches_the_loss),
        cmocka_unit_test(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
