/* Decompositions beside what they are made of: known singular values, wide, tall and square, with less rank than is
 * asked for. */
#include "common/slots/low_rank.h"

#include "common/base/mem.h"
#include "tests/support/must.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Row i of an orthonormal basis of n numbers (a discrete cosine transform). */
static double basis(int64_t i, int64_t j, int64_t n)
{
    return sqrt((i == 0 ? 1.0 : 2.0) / (double)n) * cos(M_PI * (double)i * (2.0 * (double)j + 1) / (2.0 * (double)n));
}

/* sum_k value[k] u_k v_k^T */
static double made(const double *value, int64_t count, int64_t i, int64_t j, int64_t m, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < count; k++)
        sum += value[k] * basis(k, i, m) * basis(k + 1, j, n);
    return sum;
}

static const double value[] = { 9, 4, 4, 1, 0.25, 0.01 };
enum { RANK = 6 };

static void check(const float *B, const float *A, int64_t r, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double got = 0;
            for (int64_t k = 0; k < r; k++)
                got += (double)B[i * r + k] * A[k * n + j];
            const double want = made(value, r < RANK ? r : RANK, i, j, m, n);
            if (!(fabs(got - want) < 3e-6))
                fail_msg("[%lld, %lld] of %lldx%lld, rank %lld: %g, should be %g", (long long)i, (long long)j,
                         (long long)m, (long long)n, (long long)r, got, want);
        }
    for (int64_t k = 0; k < r && k < RANK; k++) { /* A's rows are orthonormal, B has the singular values */
        double a = 0, b = 0;
        for (int64_t j = 0; j < n; j++)
            a += (double)A[k * n + j] * A[k * n + j];
        for (int64_t i = 0; i < m; i++)
            b += (double)B[i * r + k] * B[i * r + k];
        assert_true(fabs(a - 1) < 1e-4);
        assert_true(fabs(sqrt(b) - value[k]) < 1e-5);
    }
}

static void the_nearest_of_a_rank(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = { { 9, 31 }, { 40, 8 }, { 17, 17 } };
    static const int64_t ranks[] = { 1, 3, 4, 6, 7 };
    for (size_t s = 0; s < LENGTH(shapes); s++)
        for (size_t k = 0; k < LENGTH(ranks); k++) {
            const int64_t m = shapes[s][0], n = shapes[s][1], r = ranks[k];
            float *D = xcalloc((size_t)(m * n), sizeof *D), *L = xcalloc((size_t)(m * 8), sizeof *L);
            float *R = xcalloc((size_t)(8 * n), sizeof *R);
            float *B = xcalloc((size_t)(m * r), sizeof *B), *A = xcalloc((size_t)(r * n), sizeof *A);
            Err err = { 0 };
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++)
                    D[i * n + j] = (float)made(value, RANK, i, j, m, n);
            /* the same as a product of 8: the last two columns are nothing, and twice the first */
            for (int64_t c = 0; c < 8; c++) {
                for (int64_t i = 0; i < m; i++)
                    L[i * 8 + c] = c == 6 ? 0 : (float)((c == 7 ? 2 : 3) * basis(c == 7 ? 0 : c, i, m));
                for (int64_t j = 0; j < n; j++)
                    R[c * n + j] = c > 5 ? 0 : (float)(value[c] / 3 * basis(c + 1, j, n));
            }
            must(low_rank(B, A, r, D, m, n, &err), &err);
            check(B, A, r, m, n);
            must(low_rank_of_product(B, A, r, L, R, m, 8, n, &err), &err);
            check(B, A, r, m, n);
            free(A);
            free(B);
            free(R);
            free(L);
            free(D);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_nearest_of_a_rank) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
