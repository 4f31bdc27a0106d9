/* DESIGN. D^T D or D D^T in double has the squares of the singular values: those below 1e-7 of the largest are lost in
 * its last digits, which is what a float of the largest cannot see either. They are left out.
 * D = L R: L = Q T with Q orthonormal comes from the eigenvectors of L^T L; then D = Q (T R), and T R is small. */
#include "common/slots/low_rank.h"

#include "common/base/mem.h"
#include "common/base/symmetric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 1e-14 /* of eigenvalues, beside the largest */

/* The eigenvectors of X X^T, X[rows, columns] in double. */
typedef struct Eigen {
    double *values, *vectors; /* [rows], [rows, rows]; owned */
    int64_t rank; /* of values that count */
} Eigen;

static void eigen_release(Eigen *e)
{
    free(e->values);
    free(e->vectors);
}

static bool eigen_of(Eigen *e, const double *x, int64_t rows, int64_t columns, Err *err)
{
    const size_t square = (size_t)(rows * rows) * sizeof(double);
    double *gram = mem_alloc(square, err);
    *e = (Eigen){ .values = mem_alloc((size_t)rows * sizeof(double), err), .vectors = mem_alloc(square, err) };
    if (!gram || !e->values || !e->vectors) {
        free(gram);
        return false;
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t c = 0; c < columns; c++)
                sum += x[i * columns + c] * x[j * columns + c];
            gram[i * rows + j] = gram[j * rows + i] = sum;
        }
    symmetric_eigen(e->values, e->vectors, gram, rows);
    while (e->rank < rows && e->values[e->rank] > LEAST * e->values[0])
        e->rank++;
    free(gram);
    return true;
}

/* out[columns] = v[rows] X / by */
static void project(double *out, const double *v, const double *x, int64_t rows, int64_t columns, double by)
{
    memset(out, 0, (size_t)columns * sizeof *out);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < columns; c++)
            out[c] += v[i] * x[i * columns + c] / by;
}

/* X[rows, columns] ~ left[r, rows]^T right[r, columns], where the rows of `right` are orthonormal and those of `left`
 * hold the singular values; double, as X. */
static bool cut(double *left, double *right, int64_t r, const double *x, int64_t rows, int64_t columns, Err *err)
{
    Eigen e;
    const bool ok = eigen_of(&e, x, rows, columns, err);
    memset(left, 0, (size_t)(r * rows) * sizeof *left);
    memset(right, 0, (size_t)(r * columns) * sizeof *right);
    for (int64_t i = 0; ok && i < r && i < e.rank; i++) {
        const double s = sqrt(e.values[i]);
        for (int64_t k = 0; k < rows; k++)
            left[i * rows + k] = e.vectors[i * rows + k] * s;
        project(right + i * columns, e.vectors + i * rows, x, rows, columns, s);
    }
    eigen_release(&e);
    return ok;
}

/* B[m, r] <- left[r, m], A[r, n] <- right[r, n]. The singular values lie in `left`, where B wants them; or, where D was
 * transposed, in `right`, and move over. */
static void put(float *B, float *A, const double *left, const double *right, int64_t m, int64_t r, int64_t n,
                bool transposed)
{
    for (int64_t i = 0; i < r; i++) {
        double square = 0; /* of the singular value */
        for (int64_t k = 0; k < (transposed ? n : m); k++) {
            const double x = transposed ? right[i * n + k] : left[i * m + k];
            square += x * x;
        }
        const double s = transposed ? sqrt(square) : 1;
        for (int64_t k = 0; k < m; k++)
            B[k * r + i] = (float)(left[i * m + k] * s);
        for (int64_t k = 0; k < n; k++)
            A[i * n + k] = s > 0 ? (float)(right[i * n + k] / s) : 0;
    }
}

bool low_rank(float *B, float *A, int64_t r, const float *D, int64_t m, int64_t n, Err *err)
{
    const bool transposed = m > n;
    double *x = mem_alloc((size_t)(m * n) * sizeof *x, err);
    double *left = mem_alloc((size_t)(r * m) * sizeof *left, err),
           *right = mem_alloc((size_t)(r * n) * sizeof *right, err);
    bool ok = x && left && right;
    for (int64_t i = 0; ok && i < m; i++)
        for (int64_t j = 0; j < n; j++)
            x[transposed ? j * m + i : i * n + j] = D[i * n + j];
    ok = ok && (transposed ? cut(right, left, r, x, n, m, err) : cut(left, right, r, x, m, n, err));
    if (ok)
        put(B, A, left, right, m, r, n, transposed);
    free(right);
    free(left);
    free(x);
    return ok;
}

/* L^T[k, m] in double. */
static double *transposed_of(const float *L, int64_t m, int64_t k, Err *err)
{
    double *x = mem_alloc((size_t)(m * k) * sizeof *x, err);
    for (int64_t i = 0; x && i < m; i++)
        for (int64_t j = 0; j < k; j++)
            x[j * m + i] = L[i * k + j];
    return x;
}

/* q[k, m]: orthonormal rows that span L's columns; h[k, n] with L R = q^T h. */
static bool open_product(double *q, double *h, const float *L, const float *R, int64_t m, int64_t k, int64_t n,
                         Err *err)
{
    Eigen e = { 0 };
    double *x = transposed_of(L, m, k, err), *y = mem_alloc((size_t)(k * n) * sizeof *y, err);
    const bool ok = x && y && eigen_of(&e, x, k, m, err);
    memset(q, 0, (size_t)(k * m) * sizeof *q);
    memset(h, 0, (size_t)(k * n) * sizeof *h);
    for (int64_t i = 0; ok && i < k * n; i++)
        y[i] = R[i];
    for (int64_t i = 0; ok && i < e.rank; i++) {
        const double s = sqrt(e.values[i]);
        project(q + i * m, e.vectors + i * k, x, k, m, s);
        project(h + i * n, e.vectors + i * k, y, k, n, 1 / s);
    }
    eigen_release(&e);
    free(y);
    free(x);
    return ok;
}

bool low_rank_of_product(float *B, float *A, int64_t r, const float *L, const float *R, int64_t m, int64_t k, int64_t n,
                         Err *err)
{
    double *q = mem_alloc((size_t)(k * m) * sizeof *q, err), *h = mem_alloc((size_t)(k * n) * sizeof *h, err);
    double *small = mem_alloc((size_t)(r * k) * sizeof *small, err),
           *left = mem_alloc((size_t)(r * m) * sizeof *left, err);
    double *right = mem_alloc((size_t)(r * n) * sizeof *right, err);
    const bool ok = q && h && small && left && right && open_product(q, h, L, R, m, k, n, err) &&
                    cut(small, right, r, h, k, n, err);
    for (int64_t i = 0; ok && i < r; i++)
        project(left + i * m, small + i * k, q, k, m, 1);
    if (ok)
        put(B, A, left, right, m, r, n, false);
    free(right);
    free(left);
    free(small);
    free(h);
    free(q);
    return ok;
}
