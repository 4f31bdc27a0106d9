#include "tests/worker/kernels/support.h"

#include "worker/kernels/gemm.h"

static const int64_t sizes[][3] = {
    { 1, 1, 1 }, { 3, 1, 17 }, { 17, 65, 3 }, { 65, 17, 130 }, { 130, 3, 1 },
};

/* y[M,N] = alpha * sum_k x(m,k) w(k,n) + beta * y, element strides given. */
typedef struct Operand {
    const float *at;
    int64_t row, column;
} Operand;

static void reference(double *y, const float *before, int64_t ldy, Operand x, Operand w, int64_t M, int64_t N,
                      int64_t K, double alpha, double beta)
{
    for (int64_t m = 0; m < M; m++) {
        for (int64_t n = 0; n < N; n++) {
            double sum = 0.0;
            for (int64_t k = 0; k < K; k++)
                sum += (double)x.at[m * x.row + k * x.column] * (double)w.at[k * w.row + n * w.column];
            y[m * ldy + n] = alpha * sum + beta * (double)before[m * ldy + n];
        }
    }
}

enum { NT, NN, TN };

/* One product of M x N x K with strides one or two wider than the matrices. */
static void check_product(int kind, int64_t M, int64_t N, int64_t K, float alpha, float beta)
{
    const int64_t ldy = N + 2, ldx = (kind == TN ? M : K) + 1, ldw = (kind == NT ? K : N) + 1;
    const int64_t x_size = (kind == TN ? K : M) * ldx, w_size = (kind == NT ? N : K) * ldw;
    float *x = random_new(x_size, 1.0f, 1), *w = random_new(w_size, 1.0f, 2);
    float *y = random_new(M * ldy, 1.0f, 3), *before = random_new(M * ldy, 1.0f, 3);
    double *expected = doubles_new(M * ldy);
    for (int64_t i = 0; i < M * ldy; i++)
        expected[i] = (double)before[i]; /* the gaps between rows stay */

    const Operand xs = { x, kind == TN ? 1 : ldx, kind == TN ? ldx : 1 };
    const Operand ws = { w, kind == NT ? 1 : ldw, kind == NT ? ldw : 1 };
    reference(expected, before, ldy, xs, ws, M, N, K, (double)alpha, (double)beta);
    if (kind == NT)
        gemm_nt(y, ldy, x, ldx, w, ldw, M, N, K, alpha, beta);
    else if (kind == NN)
        gemm_nn(y, ldy, x, ldx, w, ldw, M, N, K, alpha, beta);
    else
        gemm_tn(y, ldy, x, ldx, w, ldw, M, N, K, alpha, beta);
    check_all_near("y", y, expected, M * ldy, 1e-5);

    guarded_free(x, x_size);
    guarded_free(w, w_size);
    guarded_free(y, M * ldy);
    guarded_free(before, M * ldy);
    free(expected);
}

static void products_equal_the_sums(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (int kind = NT; kind <= TN; kind++) {
            check_product(kind, sizes[i][0], sizes[i][1], sizes[i][2], 1.0f, 0.0f);
            check_product(kind, sizes[i][0], sizes[i][1], sizes[i][2], 0.5f, 1.0f);
        }
    }
}

static void an_empty_inner_dimension_leaves_beta_times_y(void **state)
{
    (void)state;
    for (int kind = NT; kind <= TN; kind++) {
        check_product(kind, 3, 5, 0, 1.0f, 0.0f);
        check_product(kind, 3, 5, 0, 1.0f, 0.5f);
        check_product(kind, 0, 5, 3, 1.0f, 0.0f);
        check_product(kind, 3, 0, 5, 1.0f, 0.0f);
    }
}

static void beta_zero_overwrites_what_is_not_a_number(void **state)
{
    (void)state;
    float y[2] = { NAN, NAN };
    const float x[1] = { 2.0f }, w[2] = { 3.0f, 4.0f };
    gemm_nt(y, 2, x, 1, w, 1, 1, 2, 1, 1.0f, 0.0f);
    assert_true(y[0] == 6.0f && y[1] == 8.0f);
    y[0] = NAN;
    gemm_nt(y, 2, x, 1, w, 1, 1, 2, 0, 1.0f, 0.0f);
    assert_true(y[0] == 0.0f && y[1] == 0.0f);
}

static void product(int kind, float *y, const float *x, const float *w, int64_t M, int64_t N, int64_t K)
{
    if (kind == NT)
        gemm_nt(y, N, x, K, w, K, M, N, K, 1, 0);
    else if (kind == NN)
        gemm_nn(y, N, x, K, w, N, M, N, K, 1, 0);
    else
        gemm_tn(y, N, x, M, w, N, M, N, K, 1, 0);
}

static void threads_agree(int64_t M, int64_t N, int64_t K, int most)
{
    float *x = random_new(M * K, 1, 1), *w = random_new(N * K, 1, 2);
    float *one = guarded_new(M * N), *more = guarded_new(M * N);
    for (int kind = NT; kind <= TN; kind++) {
        gemm_set_threads(1);
        product(kind, one, x, w, M, N, K);
        for (int threads = 2; threads <= most; threads++) {
            gemm_set_threads(threads);
            product(kind, more, x, w, M, N, K);
            assert_memory_equal(one, more, (size_t)(M * N) * sizeof *one);
        }
    }
    gemm_set_threads(1);
    guarded_free(x, M * K);
    guarded_free(w, N * K);
    guarded_free(one, M * N);
    guarded_free(more, M * N);
}

/* Sizes that are split by rows, by columns, by both, with a rest, and not at all. */
static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    const int64_t shapes[][3] = { { 1031, 384, 384 }, { 517, 1539, 200 }, { 2051, 771, 130 },
                                  { 8, 768, 1500 },   { 3000, 8, 384 },   { 397, 389, 384 } };
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        threads_agree(shapes[i][0], shapes[i][1], shapes[i][2], 5);
    const RngKey key = rng_key(3, 1, 4, 1);
    for (uint32_t i = 0; i < 24; i++) /* where splitting begins, and somewhat above */
        threads_agree(64 + rng_bits(key, 3 * i) % 900, 64 + rng_bits(key, 3 * i + 1) % 900,
                      16 + rng_bits(key, 3 * i + 2) % 500, 2);
}

/* Rows of any number together have the bits that each has alone, and those of gemm_nt of one row. */
static void rows_that_stand_apart_do_not_know_each_other(void **state)
{
    (void)state;
    const int64_t shapes[][3] = { { 1, 1, 1 }, { 7, 13, 45 }, { 67, 31, 129 }, { 130, 6, 64 }, { 9, 700, 771 } };
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        const int64_t N = shapes[i][0], O = shapes[i][1], I = shapes[i][2];
        float *x = random_new(N * I, 1, 1), *w = random_new(O * I, 1, 2), *y = guarded_new(N * O),
              *one = guarded_new(O);
        for (int threads = 1; threads < 4; threads++) {
            gemm_set_threads(threads);
            kernels->row_products(y, O, x, I, w, I, N, O, I, 0.5f, 0);
            for (int64_t n = 0; n < N; n++) {
                gemm_nt(one, O, x + n * I, I, w, I, 1, O, I, 0.5f, 0);
                assert_memory_equal(y + n * O, one, (size_t)O * sizeof *one);
                for (int64_t o = 0; o < O; o++) {
                    double sum = 0, size = 0;
                    for (int64_t k = 0; k < I; k++) {
                        sum += 0.5 * (double)x[n * I + k] * (double)w[o * I + k];
                        size += fabs((double)x[n * I + k] * (double)w[o * I + k]);
                    }
                    assert_true(fabs((double)one[o] - sum) <= 1e-6 * (1 + size));
                }
            }
        }
        gemm_set_threads(1);
        guarded_free(x, N * I);
        guarded_free(w, O * I);
        guarded_free(y, N * O);
        guarded_free(one, O);
    }
}

int main(void)
{
    gemm_set_threads(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_equal_the_sums),
        cmocka_unit_test(an_empty_inner_dimension_leaves_beta_times_y),
        cmocka_unit_test(beta_zero_overwrites_what_is_not_a_number),
        cmocka_unit_test(rows_that_stand_apart_do_not_know_each_other),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
