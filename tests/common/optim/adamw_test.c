#include "common/optim/adamw.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 37, STEPS = 50 };

/* torch's algorithm (its documentation's pseudo code), in double. */
static void updates_follow_the_formula_in_double(void **state)
{
    (void)state;
    float p[N], m[N] = { 0 }, v[N] = { 0 }, g[N];
    double P[N], M[N] = { 0 }, V[N] = { 0 };
    rng_normal(p, N, 1.0F, rng_key(1, 0, 0, 0));
    for (int i = 0; i < N; i++)
        P[i] = p[i];
    for (int t = 1; t <= STEPS; t++) {
        const AdamW o = { 0.01 / t, 0.9, 0.999, 1e-8, 0.1, t };
        rng_normal(g, N, 0.1F, rng_key(2, t, 0, 0));
        adamw_update(p, m, v, g, N, &o);
        for (int i = 0; i < N; i++) {
            P[i] *= 1 - o.learning_rate * o.weight_decay;
            M[i] = o.beta1 * M[i] + (1 - o.beta1) * g[i];
            V[i] = o.beta2 * V[i] + (1 - o.beta2) * g[i] * g[i];
            const double mean = M[i] / (1 - pow(o.beta1, t)), square = V[i] / (1 - pow(o.beta2, t));
            P[i] -= o.learning_rate * mean / (sqrt(square) + o.epsilon);
            assert_true(fabs(P[i] - p[i]) < 2e-6);
        }
    }
}

static void the_first_update_is_the_rate_against_the_sign(void **state)
{
    (void)state;
    float p[2] = { 1, 1 }, m[2] = { 0 }, v[2] = { 0 };
    adamw_update(p, m, v, (const float[]){ 4, -0.25F }, 2, &(AdamW){ 0.5, 0.9, 0.999, 0, 0, 1 });
    assert_true(fabsf(p[0] - 0.5F) < 1e-6F && fabsf(p[1] - 1.5F) < 1e-6F);
}

static void nothing_stays_nothing(void **state)
{
    (void)state;
    float p[1] = { 0 }, m[1] = { 0 }, v[1] = { 0 };
    adamw_update(p, m, v, (const float[]){ 0 }, 1, &(AdamW){ 0.5, 0.9, 0.999, 1e-8, 0.1, 1 });
    assert_true(p[0] == 0 && m[0] == 0 && v[0] == 0);
}

static void long_gradients_are_clipped_and_short_ones_are_not(void **state)
{
    (void)state;
    float g[9] = { 3, 0, 0, 0, 0, 0, 0, 0, 4 };
    assert_true(adamw_mean_norm(g, 9, 1) == 5.0);
    assert_true(adamw_clip(5.0, 1.0) == (float)(1.0 / (5.0 + 1e-6)));
    assert_true(adamw_clip(0.5, 1.0) == 1.0F);
    assert_true(adamw_clip(5.0, 0.0) == 1.0F);
}

/* Blocks that threads share give one number, which is the sum of the blocks'. */
static void means_do_not_depend_on_the_threads(void **state)
{
    (void)state;
    const int64_t n = 3 * (int64_t)ADAMW_BLOCK + 77;
    float *one = xcalloc((size_t)n, sizeof *one), *more = xcalloc((size_t)n, sizeof *more);
    rng_normal(one, n, 2.0f, rng_key(5, 1, 0, 0));
    memcpy(more, one, (size_t)n * sizeof *more);
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        square += ((double)one[i] / 3) * ((double)one[i] / 3);
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    const double a = adamw_mean_norm(one, n, 3);
    omp_set_num_threads(4);
    const double b = adamw_mean_norm(more, n, 3);
    omp_set_num_threads(before);
    assert_true(a == b);
    assert_memory_equal(one, more, (size_t)n * sizeof *one);
    rng_normal(one, n, 2.0f, rng_key(5, 1, 0, 0));
    adamw_mean(one, n, 3);
    assert_memory_equal(one, more, (size_t)n * sizeof *one);
    assert_true(adamw_mean_norm(one, n, 0) == a);
    assert_float_equal(a, sqrt(square), 1e-6 * a);
    free(one);
    free(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_follow_the_formula_in_double),
        cmocka_unit_test(the_first_update_is_the_rate_against_the_sign),
        cmocka_unit_test(nothing_stays_nothing),
        cmocka_unit_test(means_do_not_depend_on_the_threads),
        cmocka_unit_test(long_gradients_are_clipped_and_short_ones_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
