/* Products as they reach the library: which are asked for, and what the fingerprint sees of them. The
 * library of this test (in the place of worker/kernels/blas) is a plain loop that can be made wrong. */
#include "worker/arithmetic/fingerprint.h"

#include "common/base/mem.h"
#include "worker/kernels/blas.h"
#include "worker/kernels/gemm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 512 };

typedef struct Asked {
    int64_t M, N, K;
    const float *a, *b;
    bool turn_a, turn_b;
} Asked;

static Asked asked[MOST];
static int asked_count;
static int spoiled = -1; /* the number of the product whose last sum is off by `fault` */
static float fault;
static bool only_listed; /* nothing is computed */
static bool in_order; /* by one thread: a product's number tells which it is */
static float *known[MOST]; /* what it gave the first time */

bool blas_load(const char *core, Err *err)
{
    (void)core;
    (void)err;
    return true;
}

const char *blas_core(void)
{
    const char *name = getenv("OPENBLAS_CORETYPE");
    return name ? name : "Test";
}

const char *blas_library(void)
{
    return "a plain loop";
}

/* [M,N] of its own. */
static float *compute(bool turn_a, bool turn_b, int64_t M, int64_t N, int64_t K, float alpha, const float *a,
                      int64_t lda, const float *b, int64_t ldb, float beta, const float *c, int64_t ldc)
{
    const int64_t a_row = turn_a ? 1 : lda, a_k = turn_a ? lda : 1, b_k = turn_b ? 1 : ldb, b_column = turn_b ? ldb : 1;
    float *out = xmalloc((size_t)(M * N) * sizeof *out);
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            double sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += (double)a[m * a_row + k * a_k] * (double)b[k * b_k + n * b_column];
            out[m * N + n] = (float)((double)alpha * sum) + (beta == 0.0f ? 0.0f : beta * c[m * ldc + n]);
        }
    return out;
}

void blas_sgemm(bool turn_a, bool turn_b, int64_t M, int64_t N, int64_t K, float alpha, const float *a, int64_t lda,
                const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    int number;
#pragma omp atomic capture
    number = asked_count++;
    REQUIRE(number < MOST);
    asked[number] = (Asked){ M, N, K, a, b, turn_a, turn_b };
    if (only_listed)
        return;
    float *out = in_order ? known[number] : NULL;
    if (!out)
        out = compute(turn_a, turn_b, M, N, K, alpha, a, lda, b, ldb, beta, c, ldc);
    for (int64_t m = 0; m < M; m++)
        memcpy(c + m * ldc, out + m * N, (size_t)N * sizeof *c);
    if (in_order)
        known[number] = out;
    else
        free(out);
    if (number == spoiled)
        c[(M - 1) * ldc + N - 1] += fault;
}

/* false: found wrong */
static bool take(uint64_t *digest, int which, float by, char *wrong, size_t room)
{
    gemm_set_threads(1);
    in_order = true;
    asked_count = 0;
    spoiled = which;
    fault = by;
    *digest = 1;
    const bool right = fingerprint_products(digest, wrong, room);
    spoiled = -1;
    return right;
}

static void every_product_counts_to_its_last_bit(void **state)
{
    (void)state;
    uint64_t whole, other;
    char wrong[160];
    assert_true(take(&whole, -1, 0, wrong, sizeof wrong));
    const int count = asked_count;
    assert_true(count >= 30);
    for (int i = 0; i < count; i++) {
        assert_true(take(&other, i, 1e-6f, wrong, sizeof wrong));
        assert_true(other != whole);
        assert_false(take(&other, i, 0.1f, wrong, sizeof wrong));
        assert_non_null(strstr(wrong, "a product of"));
        assert_false(take(&other, i, NAN, wrong, sizeof wrong));
    }
}

/* Other products come than those that are known. */
static void forget(void)
{
    for (int i = 0; i < MOST; i++) {
        free(known[i]);
        known[i] = NULL;
    }
}

static bool tiles_join(int which, float by)
{
    in_order = true;
    asked_count = 0;
    spoiled = which;
    fault = by;
    const bool join = fingerprint_tiles_join();
    spoiled = -1;
    return join;
}

/* Of the one whole and its two tiles, which begin at asked[i]. */
static unsigned is_cut(int i)
{
    const Asked *whole = &asked[i], *first = whole + 1, *second = whole + 2;
    const bool by_rows = first->M < whole->M;
    const int64_t at = by_rows ? first->M : first->N;
    assert_int_equal(at % GEMM_TILE_STEP, 0);
    assert_true(at % (3 * (int64_t)GEMM_TILE_STEP) != 0); /* where kernels of 12 rows show nothing */
    assert_int_equal(first->M + second->M, whole->M * (by_rows ? 1 : 2));
    assert_int_equal(first->N + second->N, whole->N * (by_rows ? 2 : 1));
    for (const Asked *tile = first; tile <= second; tile++)
        assert_true(tile->M * tile->N * tile->K >= GEMM_TILE_WORK);
    return 1U << (4 * whole->turn_a + 2 * whole->turn_b + by_rows);
}

static void one_bit_in_any_tile_is_enough_not_to_join(void **state)
{
    (void)state;
    forget();
    assert_true(tiles_join(-1, 0));
    const int count = asked_count;
    unsigned kinds = 0;
    assert_int_equal(count % 3, 0);
    for (int i = 0; i < count; i += 3)
        kinds |= is_cut(i);
    assert_int_equal(kinds, 077); /* nothing turned, b, a: each by columns and by rows */
    for (int i = 0; i < count; i++)
        assert_false(tiles_join(i, 1e-6f));
    forget();
}

static double work(void)
{
    double sum = 0;
    for (int i = 0; i < asked_count; i++)
        sum += (double)asked[i].M * (double)asked[i].N * (double)asked[i].K;
    return sum;
}

/* Every process computes them at its start, on the slowest core too: 13 thousand million a second. */
static void a_start_costs_no_more_than_25_milliseconds_of_a_slow_core(void **state)
{
    (void)state;
    uint64_t digest;
    char wrong[160];
    forget();
    assert_true(take(&digest, -1, 0, wrong, sizeof wrong));
    const double products = work();
    forget();
    assert_true(tiles_join(-1, 0));
    assert_true(products + work() <= 0.025 * 13e9);
    forget();
}

/* Of a shape M x N x K: the turns that were asked for. */
static unsigned turns_of(const Asked *shape)
{
    unsigned turns = 0;
    for (int i = 0; i < asked_count; i++)
        if (asked[i].M == shape->M && asked[i].N == shape->N && asked[i].K == shape->K)
            turns |= 1U << (2 * asked[i].turn_a + asked[i].turn_b);
    return turns;
}

static void every_shape_is_computed_with_each_factor_turned(void **state)
{
    (void)state;
    uint64_t digest;
    char wrong[160];
    assert_true(take(&digest, -1, 0, wrong, sizeof wrong));
    for (int i = 0; i < asked_count; i++)
        assert_int_equal(turns_of(&asked[i]), 7); /* none, b, a: never both */
}

static int compare(const void *x, const void *y)
{
    const Asked *a = x, *b = y;
    return a->a != b->a ? (a->a < b->a ? -1 : 1) : (a->b > b->b) - (a->b < b->b);
}

/* The bits of some cores do not depend on the tiles, those of others do: so the tiles are looked at. */
static void tiles_do_not_depend_on_the_threads(void **state)
{
    (void)state;
    enum { M = 1031, N = 1539, K = 384 };
    static float x[M * K], w[N * K], y[M * N];
    static Asked alone[MOST];
    only_listed = true;
    gemm_join_tiles(false); /* as where their sums would change */
    for (int threads = 1; threads <= 5; threads++) {
        asked_count = 0;
        memset(asked, 0, sizeof asked);
        gemm_set_threads(threads);
        gemm_nt(y, N, x, K, w, K, M, N, K, 1, 0);
        qsort(asked, (size_t)asked_count, sizeof *asked, compare);
        assert_true(asked_count >= 2);
        if (threads == 1)
            memcpy(alone, asked, sizeof alone);
        for (int i = 0; i < asked_count; i++)
            assert_true(asked[i].a == alone[i].a && asked[i].b == alone[i].b && asked[i].M == alone[i].M &&
                        asked[i].N == alone[i].N && asked[i].K == K);
        assert_int_equal(alone[asked_count].M, 0);
    }
    only_listed = false;
}

#ifdef __x86_64__
/* Compiled as all but the kernels is, for a CPU that could fuse. */
__attribute__((noinline, target("fma"))) static float product_and_sum(float a, float b, float c)
{
    return a * b + c;
}
#endif

/* The fingerprint is of kernels and products: the rest has to give the same bits for any MARCH. */
static void what_is_no_kernel_is_not_fused(void **state)
{
    (void)state;
#ifdef __x86_64__
    if (!__builtin_cpu_supports("fma"))
        skip();
    volatile float x = 1 + 0x1p-12f; /* its square lies between two floats */
    volatile float c = -(1 + 0x1p-11f);
    assert_true(product_and_sum(x, x, c) == 0.0f);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_product_counts_to_its_last_bit),
        cmocka_unit_test(every_shape_is_computed_with_each_factor_turned),
        cmocka_unit_test(one_bit_in_any_tile_is_enough_not_to_join),
        cmocka_unit_test(a_start_costs_no_more_than_25_milliseconds_of_a_slow_core),
        cmocka_unit_test(tiles_do_not_depend_on_the_threads),
        cmocka_unit_test(what_is_no_kernel_is_not_fused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
