#include "tests/worker/kernels/support.h"

static const int64_t sizes[][3] = { { 1, 1, 1 }, { 3, 17, 2 }, { 65, 3, 5 }, { 17, 130, 3 }, { 70, 600, 8 } };

static void columns_are_scaled_or_added(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], C = sizes[s][1], ldy = C + 1, ldz = C + 2;
        float *y = random_new(N * ldy, 1.0f, 1), *before = random_new(N * ldy, 1.0f, 1);
        float *z = random_new(N * ldz, 1.0f, 2), *c = random_new(C, 1.0f, 3);
        kernels->scale_columns(y, ldy, z, ldz, c, N, C, true);
        for (int64_t i = 0; i < N * ldy; i++) {
            const int64_t at = i % ldy;
            const double more = at < C ? (double)c[at] * (double)z[i / ldy * ldz + at] : 0;
            check_near("sum", i, (double)y[i], (double)before[i] + more, 1e-6);
        }
        kernels->scale_columns(y, ldy, z, ldz, c, N, C, false);
        for (int64_t i = 0; i < N * ldy; i++)
            assert_true(y[i] == (i % ldy < C ? c[i % ldy] * z[i / ldy * ldz + i % ldy] : before[i]));
        guarded_free(y, N * ldy);
        guarded_free(before, N * ldy);
        guarded_free(z, N * ldz);
        guarded_free(c, C);
    }
}

static void products_of_columns_are_added(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], C = sizes[s][1], lda = C + 1, ldb = C + 2;
        float *a = random_new(N * lda, 1.0f, 1), *b = random_new(N * ldb, 1.0f, 2), *scale = random_new(C, 1.0f, 3);
        float *out = random_new(C, 1.0f, 4);
        double *expected = doubles_new(C);
        for (int64_t c = 0; c < C; c++) {
            expected[c] = (double)out[c];
            for (int64_t n = 0; n < N; n++)
                expected[c] += (double)scale[c] * (double)a[n * lda + c] * (double)b[n * ldb + c];
        }
        kernels->dot_columns(out, scale, a, lda, b, ldb, N, C);
        check_all_near("dot", out, expected, C, 2e-6);
        guarded_free(a, N * lda);
        guarded_free(b, N * ldb);
        guarded_free(scale, C);
        guarded_free(out, C);
        free(expected);
    }
}

static void lengths_are_those_of_adapted_rows(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t O = sizes[s][0], I = sizes[s][1], R = sizes[s][2];
        float *w = random_new(O * I, 1.0f, 1), *a = random_new(R * I, 1.0f, 2), *b = random_new(O * R, 1.0f, 3);
        float *norms = guarded_new(O);
        double *expected = doubles_new(O);
        for (int64_t o = 0; o < O; o++) {
            for (int64_t i = 0; i < I; i++) {
                double x = (double)w[o * I + i];
                for (int64_t r = 0; r < R; r++)
                    x += 0.7 * (double)b[o * R + r] * (double)a[r * I + i];
                expected[o] += x * x;
            }
            expected[o] = sqrt(expected[o]);
        }
        kernels->adapted_row_norms(norms, w, a, b, 0.7f, O, I, R);
        check_all_near("norm", norms, expected, O, 2e-6);
        guarded_free(w, O * I);
        guarded_free(a, R * I);
        guarded_free(b, O * R);
        guarded_free(norms, O);
        free(expected);
    }
}

static void squares_are_those_of_adapted_columns(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t V = sizes[s][0], C = sizes[s][1], R = sizes[s][2], lda = V + 3;
        float *e = random_new(V * C, 1.0f, 1), *a = random_new(R * lda, 1.0f, 2), *b = random_new(R * C, 1.0f, 3);
        double *sums = doubles_new(C);
        for (int64_t c = 0; c < C; c++)
            sums[c] = 2; /* added to */
        kernels->adapted_column_squares(sums, e, a, lda, b, 0.7f, V, C, R);
        for (int64_t c = 0; c < C; c++) {
            double sum = 2;
            for (int64_t v = 0; v < V; v++) {
                double x = (double)e[v * C + c];
                for (int64_t r = 0; r < R; r++)
                    x += 0.7 * (double)a[r * lda + v] * (double)b[r * C + c];
                sum += x * x;
            }
            check_near("squares", c, sums[c], sum, 2e-6);
        }
        guarded_free(e, V * C);
        guarded_free(a, R * lda);
        guarded_free(b, R * C);
        free(sums);
    }
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    enum { N = 130, C = 600, R = 3 };
    float *a = random_new(N * C, 1.0f, 1), *b = random_new(N * C, 1.0f, 2);
    float *one = random_new(C, 1.0f, 3), *two = random_new(C, 1.0f, 3), *norms = guarded_new(2 * N);
    double *squares = doubles_new(2 * C);
    for (int threads = 1; threads <= 2; threads++) {
        omp_set_num_threads(threads);
        kernels->dot_columns(threads == 1 ? one : two, a, a, C, b, C, N, C);
        kernels->adapted_row_norms(norms + (threads - 1) * N, a, b, a, 0.5f, N, C, R);
        kernels->adapted_column_squares(squares + (threads - 1) * C, a, b, N, a, 0.5f, N, C, R);
    }
    check_same_bits("dot", one, two, C);
    check_same_bits("norms", norms, norms + N, N);
    assert_memory_equal(squares, squares + C, C * sizeof *squares);
    guarded_free(a, N * C);
    guarded_free(b, N * C);
    guarded_free(one, C);
    guarded_free(two, C);
    guarded_free(norms, 2 * N);
    free(squares);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_scaled_or_added),       cmocka_unit_test(products_of_columns_are_added),
        cmocka_unit_test(lengths_are_those_of_adapted_rows), cmocka_unit_test(squares_are_those_of_adapted_columns),
        cmocka_unit_test(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
