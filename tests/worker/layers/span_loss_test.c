/* The loss of spans beside its formula, and its gradient beside differences. */
#include "worker/layers/span_loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEQUENCES = 3, ROWS = 11 };

static const int64_t start[SEQUENCES + 1] = { 0, 1, 5, ROWS };
static const Rows rows = { .B = SEQUENCES, .N = ROWS, .longest = 6, .start = start };
static const float goal[2 * SEQUENCES] = { 0, 0, 3, 1, 0, 5 };

static void fill(float *x)
{
    for (int i = 0; i < 2 * ROWS; i++)
        x[i] = (float)((i * 37) % 19) / 5.0f - 1.5f;
}

static double formula(const float *x)
{
    double sum = 0;
    for (int b = 0; b < SEQUENCES; b++)
        for (int end = 0; end < 2; end++) {
            double all = 0;
            for (int64_t n = start[b]; n < start[b + 1]; n++)
                all += exp((double)x[2 * n + end]);
            sum += (log(all) - (double)x[2 * (start[b] + (int64_t)goal[2 * b + end]) + end]) / 2;
        }
    return sum;
}

static void half_the_sum_of_both_cross_entropies_over_all_places(void **state)
{
    (void)state;
    float x[2 * ROWS];
    fill(x);
    const BatchLoss loss = span_loss(NULL, x, goal, &rows);
    assert_float_equal(loss.sum, formula(x), 1e-6);
    assert_int_equal(loss.count, SEQUENCES);
    assert_float_equal(loss.weight, SEQUENCES, 0);
}

static void gradient_is_that_of_differences(void **state)
{
    (void)state;
    float x[2 * ROWS], dx[2 * ROWS];
    fill(x);
    span_loss(dx, x, goal, &rows);
    for (int i = 0; i < 2 * ROWS; i++) {
        const float at = x[i], h = 1e-2f;
        x[i] = at + h;
        const double above = formula(x);
        x[i] = at - h;
        const double below = formula(x);
        x[i] = at;
        assert_float_equal((double)dx[i], (above - below) / (2 * (double)h), 1e-4);
    }
}

/* Scores of hundreds: nothing overflows, and a goal that is all but certain costs nothing. */
static void large_scores_stay_finite(void **state)
{
    (void)state;
    float x[2 * ROWS] = { 0 }, dx[2 * ROWS];
    for (int b = 0; b < SEQUENCES; b++)
        for (int end = 0; end < 2; end++)
            x[2 * (start[b] + (int64_t)goal[2 * b + end]) + end] = 900.0f;
    assert_float_equal(span_loss(dx, x, goal, &rows).sum, 0, 1e-12);
    for (int i = 0; i < 2 * ROWS; i++)
        assert_float_equal((double)dx[i], 0, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_the_sum_of_both_cross_entropies_over_all_places),
        cmocka_unit_test(gradient_is_that_of_differences),
        cmocka_unit_test(large_scores_stay_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
