#include "tests/worker/kernels/support.h"

static const int64_t sizes[][2] = { { 1, 1 }, { 3, 17 }, { 65, 3 }, { 17, 130 }, { 130, 600 } };

static void bias_is_added_to_every_row(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], C = sizes[s][1];
        float *x = random_new(N * C, 1.0f, 1), *before = random_new(N * C, 1.0f, 1);
        float *bias = random_new(C, 1.0f, 2);
        kernels->bias_add(x, bias, N, C);
        for (int64_t i = 0; i < N * C; i++)
            assert_true(x[i] == before[i] + bias[i % C]);
        guarded_free(x, N * C);
        guarded_free(before, N * C);
        guarded_free(bias, C);
    }
}

static void column_sums_are_added_to_the_gradient(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], C = sizes[s][1], ld = C + 2;
        float *dy = random_new(N * ld, 1.0f, 1), *dbias = random_new(C, 1.0f, 2);
        double *expected = doubles_new(C);
        for (int64_t c = 0; c < C; c++) {
            expected[c] = (double)dbias[c];
            for (int64_t n = 0; n < N; n++)
                expected[c] += (double)dy[n * ld + c];
        }
        kernels->bias_backward(dbias, dy, ld, N, C);
        check_all_near("dbias", dbias, expected, C, 2e-6);
        guarded_free(dy, N * ld);
        guarded_free(dbias, C);
        free(expected);
    }
}

/* A running float sum of a hundred thousand ones and tenths would be off by far more. */
static void long_columns_keep_their_digits(void **state)
{
    (void)state;
    enum { N = 100000 };
    float *dy = guarded_new(N), dbias = 0.0f;
    for (int64_t n = 0; n < N; n++)
        dy[n] = 0.1f;
    kernels->bias_backward(&dbias, dy, 1, N, 1);
    check_near("dbias", 0, (double)dbias, (double)N * (double)0.1f, 2e-7);
    guarded_free(dy, N);
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    enum { N = 130, C = 600 };
    float *dy = random_new(N * C, 1.0f, 1), *one = random_new(C, 1.0f, 2), *two = random_new(C, 1.0f, 2);
    omp_set_num_threads(1);
    kernels->bias_backward(one, dy, C, N, C);
    omp_set_num_threads(2);
    kernels->bias_backward(two, dy, C, N, C);
    check_same_bits("dbias", one, two, C);
    guarded_free(dy, N * C);
    guarded_free(one, C);
    guarded_free(two, C);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bias_is_added_to_every_row),
        cmocka_unit_test(column_sums_are_added_to_the_gradient),
        cmocka_unit_test(long_columns_keep_their_digits),
        cmocka_unit_test(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
