#include "tests/worker/kernels/support.h"

static const int64_t sizes[][2] = { { 1, 2 }, { 3, 1 }, { 17, 3 }, { 5, 130 } };

/* Against a goal of 1 - e, and e / V in every column. */
static double entropy_of(const double *logits, int64_t goal, int64_t V, double e)
{
    double sum = 0.0, entropy = 0.0;
    for (int64_t v = 0; v < V; v++)
        sum += exp(logits[v]);
    for (int64_t v = 0; v < V; v++)
        entropy += ((v == goal ? 1.0 - e : 0.0) + e / (double)V) * (log(sum) - logits[v]);
    return entropy;
}

static void check_cross_entropy(double e)
{
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], V = sizes[s][1];
        float *logits = random_new(N * V, 2.0f, 1), *dlogits = guarded_new(N * V);
        int32_t goal[32];
        double expected = 0.0, *row = doubles_new(V);
        int64_t counted = 0, count = -1;
        for (int64_t n = 0; n < N; n++) {
            goal[n] = n % 4 == 2 ? -100 : (int32_t)(n * 7 % V);
            counted += goal[n] != -100;
            for (int64_t v = 0; v < V; v++)
                row[v] = (double)logits[n * V + v];
            expected += goal[n] != -100 ? entropy_of(row, goal[n], V, e) : 0.0;
        }
        const double loss = kernels->cross_entropy(dlogits, logits, goal, N, V, e, &count);
        check_near("loss", 0, loss, expected, e > 0 ? 1e-7 : 1e-12);
        assert_int_equal(count, counted);
        check_near("loss", 1, kernels->cross_entropy(NULL, logits, goal, N, V, e, &count), expected,
                   e > 0 ? 1e-7 : 1e-12);
        for (int64_t n = 0; n < N; n++) {
            for (int64_t v = 0; v < V; v++)
                row[v] = (double)logits[n * V + v];
            for (int64_t v = 0; v < V; v++) {
                const double at = row[v], h = 1e-6;
                row[v] = at + h;
                const double above = goal[n] != -100 ? entropy_of(row, goal[n], V, e) : 0.0;
                row[v] = at - h;
                const double below = goal[n] != -100 ? entropy_of(row, goal[n], V, e) : 0.0;
                row[v] = at;
                check_near("dlogits", n * V + v, (double)dlogits[n * V + v], (above - below) / (2.0 * h), 1e-7);
            }
        }
        free(row);
        guarded_free(logits, N * V);
        guarded_free(dlogits, N * V);
    }
}

static void cross_entropy_is_the_sum_over_the_rows_that_count(void **state)
{
    (void)state;
    check_cross_entropy(0);
}

static void smoothing_spreads_a_share_of_the_goal_over_all_columns(void **state)
{
    (void)state;
    check_cross_entropy(0.1);
    check_cross_entropy(0.75);
}

static void large_logits_do_not_overflow(void **state)
{
    (void)state;
    const float logits[] = { 1000.0f, -1000.0f };
    const int32_t goal[] = { 1 };
    const float zero[] = { 0.0f, 0.0f };
    float dlogits[2];
    int64_t count;
    check_near("loss", 0, kernels->cross_entropy(dlogits, logits, goal, 1, 2, 0, &count), 2000.0, 1e-12);
    assert_true(dlogits[0] == 1.0f && dlogits[1] == -1.0f);
    check_near("loss", 1, kernels->binary_cross_entropy(dlogits, logits, zero, 1, 2), 500.0, 1e-12);
    assert_true(dlogits[0] == 0.5f && dlogits[1] == 0.0f);
}

/* A loss that is not a number must stay one, for the check on the loss to see it. */
static void what_is_not_a_number_reaches_the_loss(void **state)
{
    (void)state;
    const float logits[] = { NAN, 1.0f };
    const int32_t goal[] = { 1 };
    int64_t count;
    assert_true(isnan(kernels->cross_entropy(NULL, logits, goal, 1, 2, 0, &count)));
    assert_true(isnan(kernels->mean_square(NULL, logits, logits, 1)));
    assert_true(isnan(kernels->binary_cross_entropy(NULL, logits, logits, 1, 2)));
}

static void mean_square_is_the_sum_of_squares(void **state)
{
    (void)state;
    const float logits[] = { 1.5f, -2.0f, 0.25f }, goal[] = { 1.0f, 1.0f, 0.25f };
    float dlogits[3];
    check_near("loss", 0, kernels->mean_square(dlogits, logits, goal, 3), 9.25, 1e-12);
    assert_true(dlogits[0] == 1.0f && dlogits[1] == -6.0f && dlogits[2] == 0.0f);
    check_near("loss", 1, kernels->mean_square(NULL, logits, goal, 3), 9.25, 1e-12);
}

static void binary_cross_entropy_sums_row_means(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], V = sizes[s][1];
        float *logits = random_new(N * V, 2.0f, 1), *dlogits = guarded_new(N * V);
        float *goal = guarded_new(N * V);
        double expected = 0.0;
        for (int64_t i = 0; i < N * V; i++) {
            goal[i] = i % 3 == 0 ? 1.0f : 0.0f;
            const double on = 1.0 / (1.0 + exp(-(double)logits[i]));
            expected -= log(i % 3 == 0 ? on : 1.0 - on) / (double)V;
        }
        check_near("loss", 0, kernels->binary_cross_entropy(dlogits, logits, goal, N, V), expected, 1e-12);
        check_near("loss", 1, kernels->binary_cross_entropy(NULL, logits, goal, N, V), expected, 1e-12);
        for (int64_t i = 0; i < N * V; i++) {
            const double on = 1.0 / (1.0 + exp(-(double)logits[i]));
            check_near("dlogits", i, (double)dlogits[i], (on - (double)goal[i]) / (double)V, 1e-7);
        }
        guarded_free(logits, N * V);
        guarded_free(dlogits, N * V);
        guarded_free(goal, N * V);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_is_the_sum_over_the_rows_that_count),
        cmocka_unit_test(smoothing_spreads_a_share_of_the_goal_over_all_columns),
        cmocka_unit_test(large_logits_do_not_overflow),
        cmocka_unit_test(what_is_not_a_number_reaches_the_loss),
        cmocka_unit_test(mean_square_is_the_sum_of_squares),
        cmocka_unit_test(binary_cross_entropy_sums_row_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
