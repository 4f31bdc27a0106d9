/* Leading parts of matrices beside one-sided Jacobi of the whole matrix, and beside what they are by definition. */
#include "common/slots/decompose.h"

#include "common/base/mem.h"
#include "tests/support/must.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const RngKey key = { 3, 5 };

/* w[m,n] whose singular values fall by `fall` each, of random directions. */
static float *matrix(int64_t m, int64_t n)
{
    float *w = xmalloc((size_t)(m * n) * sizeof *w);
    rng_normal(w, m * n, 1, rng_key(11, m, n, 0));
    for (int64_t o = 0; o < m; o++)
        for (int64_t i = 0; i < n; i++)
            w[o * n + i] *= 1.0f / (1.0f + 0.1f * (float)o);
    return w;
}

/* Singular values, falling, by turning pairs of rows until all stand at right angles (Hestenes 1958). */
static double *jacobi(const float *w, int64_t m, int64_t n)
{
    double *a = xmalloc((size_t)(m * n) * sizeof *a), *s = xmalloc((size_t)m * sizeof *s);
    for (int64_t i = 0; i < m * n; i++)
        a[i] = (double)w[i];
    for (int sweep = 0; sweep < 30; sweep++)
        for (int64_t p = 0; p < m; p++)
            for (int64_t q = p + 1; q < m; q++) {
                double pp = 0, qq = 0, pq = 0;
                for (int64_t i = 0; i < n; i++) {
                    pp += a[p * n + i] * a[p * n + i];
                    qq += a[q * n + i] * a[q * n + i];
                    pq += a[p * n + i] * a[q * n + i];
                }
                if (fabs(pq) < 1e-15 * sqrt(pp * qq) || pq == 0)
                    continue;
                const double z = (qq - pp) / (2 * pq), t = copysign(1, z) / (fabs(z) + sqrt(1 + z * z));
                const double c = 1 / sqrt(1 + t * t), d = c * t;
                for (int64_t i = 0; i < n; i++) {
                    const double x = a[p * n + i], y = a[q * n + i];
                    a[p * n + i] = c * x - d * y;
                    a[q * n + i] = d * x + c * y;
                }
            }
    for (int64_t p = 0; p < m; p++) {
        s[p] = 0;
        for (int64_t i = 0; i < n; i++)
            s[p] += a[p * n + i] * a[p * n + i];
        s[p] = sqrt(s[p]);
    }
    for (int64_t p = 0; p < m; p++)
        for (int64_t q = p + 1; q < m; q++)
            if (s[q] > s[p]) {
                const double was = s[p];
                s[p] = s[q];
                s[q] = was;
            }
    free(a);
    return s;
}

static double along(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void expect_orthonormal(const double *v, int64_t r, int64_t n)
{
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j <= i; j++)
            assert_true(fabs(along(v + i * n, v + j * n, n) - (i == j)) < 1e-10);
}

/* W v_i = s_i u_i and W^T u_i = s_i v_i */
static void expect_triplets(const Parts *p, const Matrix *w, double most)
{
    for (int64_t k = 0; k < p->r; k++) {
        for (int64_t o = 0; o < w->m; o++) {
            double sum = 0;
            for (int64_t i = 0; i < w->n; i++)
                sum += (double)w->w[o * w->n + i] * p->v[k * w->n + i];
            assert_true(fabs(sum - p->s[k] * p->u[k * w->m + o]) < most * p->s[0]);
        }
        for (int64_t i = 0; i < w->n; i++) {
            double sum = 0;
            for (int64_t o = 0; o < w->m; o++)
                sum += (double)w->w[o * w->n + i] * p->u[k * w->m + o];
            assert_true(fabs(sum - p->s[k] * p->v[k * w->n + i]) < most * p->s[0]);
        }
    }
}

static const int64_t shapes[][3] = { { 1, 1, 1 },    { 7, 5, 5 },    { 5, 7, 3 },     { 33, 33, 4 },
                                     { 120, 40, 8 }, { 40, 121, 8 }, { 200, 180, 16 } };

static void the_largest_singular_values_are_jacobis(void **state)
{
    (void)state;
    for (size_t k = 0; k < LENGTH(shapes); k++) {
        const int64_t m = shapes[k][0], n = shapes[k][1], r = shapes[k][2];
        float *w = matrix(m, n);
        double *all = jacobi(w, m, n);
        Err err = { 0 };
        Parts p;
        must(parts_singular(&p, &(Matrix){ w, m, n }, r, key, &err), &err);
        for (int64_t i = 0; i < r; i++)
            assert_true(fabs(p.s[i] - all[i]) < 1e-9 * all[0]);
        expect_orthonormal(p.u, r, m);
        expect_orthonormal(p.v, r, n);
        expect_triplets(&p, &(Matrix){ w, m, n }, 1e-9);
        parts_release(&p);
        free(all);
        free(w);
    }
}

/* Values that come several times lead out of no space that one vector spans; a matrix of rank 2 has no third. */
static void repeated_values_are_found_as_often_as_they_are_there(void **state)
{
    (void)state;
    enum { N = 60, R = 4 };
    static const double values[] = { 5, 5, 5, 2 };
    float w[N * N] = { 0 }, low[N * N];
    for (int i = 0; i < N; i++)
        w[i * N + (i * 7 + 3) % N] = i % 20 == 4 ? 5.0f : i == 9 ? -2.0f : 1.0f;
    Err err = { 0 };
    Parts p;
    must(parts_singular(&p, &(Matrix){ w, N, N }, R, key, &err), &err);
    for (int i = 0; i < R; i++)
        assert_true(fabs(p.s[i] - values[i]) < 1e-9);
    expect_triplets(&p, &(Matrix){ w, N, N }, 1e-9);
    parts_release(&p);
    for (int i = 0; i < N * N; i++)
        low[i] = (float)(i / N) * (float)(i % N % 7) + (float)(i / N % 3);
    must(parts_singular(&p, &(Matrix){ low, N, N }, R, key, &err), &err);
    assert_true(p.s[1] > 0 && p.s[2] < 1e-5 * p.s[0] && p.s[3] < 1e-5 * p.s[0]);
    expect_triplets(&p, &(Matrix){ low, N, N }, 1e-6);
    parts_release(&p);
    memset(low, 0, sizeof low);
    must(parts_singular(&p, &(Matrix){ low, N, N }, R, key, &err), &err);
    assert_true(p.s[0] == 0 && along(p.u, p.u, R * N) == 0 && along(p.v, p.v, R * N) == 0);
    parts_release(&p);
}

/* With rounds enough they are the singular triplets; with any, U S V^T is W seen in the space of U. */
static void sampled_triplets_come_near_the_singular_ones(void **state)
{
    (void)state;
    const int64_t m = 90, n = 70, r = 6;
    float *w = matrix(m, n);
    double *all = jacobi(w, m, n), before = HUGE_VAL;
    Err err = { 0 };
    static const int rounds[] = { 0, 2, 8, 99 };
    for (size_t k = 0; k < LENGTH(rounds); k++) {
        Parts p;
        must(parts_sampled(&p, &(Matrix){ w, m, n }, r, rounds[k], key, &err), &err);
        expect_orthonormal(p.u, r, m);
        expect_orthonormal(p.v, r, n);
        double lost = 0;
        for (int64_t i = 0; i < r; i++) {
            lost += all[i] * all[i] - p.s[i] * p.s[i];
            for (int64_t c = 0; c < n; c++) {
                double sum = 0;
                for (int64_t o = 0; o < m; o++)
                    sum += (double)w[o * n + c] * p.u[i * m + o];
                assert_true(fabs(sum - p.s[i] * p.v[i * n + c]) < 1e-9 * all[0]);
            }
        }
        assert_true(lost > -1e-9 && lost < before);
        before = lost;
        parts_release(&p);
    }
    assert_true(before < 0.05 * all[0] * all[0]);
    free(all);
    free(w);
}

/* Q^T W = R, whose columns before the diagonal are 0. */
static void a_qr_begins_with_the_first_columns(void **state)
{
    (void)state;
    const int64_t m = 31, n = 45, r = 9;
    float *w = matrix(m, n);
    Err err = { 0 };
    Parts p;
    for (int64_t o = 0; o < m; o++)
        w[o * n + 3] = w[o * n + 1]; /* depends on another column */
    must(parts_qr(&p, &(Matrix){ w, m, n }, r, key, &err), &err);
    expect_orthonormal(p.u, r, m);
    for (int64_t k = 0; k < r; k++)
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            for (int64_t o = 0; o < m; o++)
                sum += p.u[k * m + o] * (double)w[o * n + i];
            assert_true(fabs(sum - p.v[k * n + i]) < 1e-12 && (i >= k || fabs(sum) < 1e-12));
        }
    assert_true(fabs(p.v[3 * n + 3]) < 1e-12 && fabs(p.v[4 * n + 4]) > 1e-3);
    parts_release(&p);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_singular_values_are_jacobis),
        cmocka_unit_test(repeated_values_are_found_as_often_as_they_are_there),
        cmocka_unit_test(sampled_triplets_come_near_the_singular_ones),
        cmocka_unit_test(a_qr_begins_with_the_first_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
