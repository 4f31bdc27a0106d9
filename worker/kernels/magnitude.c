#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"

#include <math.h>

enum { COLUMN_BLOCK = 256 }; /* columns that go together: they stay in the nearest cache */

static int64_t width_of(int64_t C, int64_t c)
{
    return C - c < COLUMN_BLOCK ? C - c : COLUMN_BLOCK;
}

static int64_t blocks_of(int64_t C)
{
    return (C + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
}

static void scale_row(float *y, const float *z, const float *c, int64_t C)
{
#pragma omp simd
    for (int64_t i = 0; i < C; i++)
        y[i] = c[i] * z[i];
}

static void add_scaled_row(float *y, const float *z, const float *c, int64_t C)
{
#pragma omp simd
    for (int64_t i = 0; i < C; i++)
        y[i] += c[i] * z[i];
}

void scale_columns(float *y, int64_t ldy, const float *z, int64_t ldz, const float *c, int64_t N, int64_t C, bool add)
{
#pragma omp parallel for if (N * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++)
        (add ? add_scaled_row : scale_row)(y + n * ldy, z + n * ldz, c, C);
}

/* A block of columns, rows in order. */
static void dot_block(float *out, const float *scale, const float *a, int64_t lda, const float *b, int64_t ldb,
                      int64_t N, int64_t width)
{
    double total[COLUMN_BLOCK] = { 0 };
    for (int64_t n = 0; n < N; n++) {
        const float *a_n = a + n * lda, *b_n = b + n * ldb;
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            total[i] += (double)(a_n[i] * b_n[i]);
    }
    for (int64_t i = 0; i < width; i++)
        out[i] += (float)((double)scale[i] * total[i]);
}

void dot_columns(float *out, const float *scale, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t N,
                 int64_t C)
{
#pragma omp parallel for if (N * C >= PARALLEL_ELEMENTS)
    for (int64_t block = 0; block < blocks_of(C); block++) {
        const int64_t c = block * COLUMN_BLOCK;
        dot_block(out + c, scale + c, a + c, lda, b + c, ldb, N, width_of(C, c));
    }
}

/* row[width] = w + scale sum_r left[r * step] right[r, :] */
static void adapted(float *row, const float *w, const float *left, int64_t step, const float *right, int64_t ldright,
                    float scale, int64_t R, int64_t width)
{
#pragma omp simd
    for (int64_t i = 0; i < width; i++)
        row[i] = w[i];
    for (int64_t r = 0; r < R; r++) {
        const float by = scale * left[r * step], *right_r = right + r * ldright;
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            row[i] += by * right_r[i];
    }
}

void adapted_row_norms(float *norms, const float *w, const float *a, const float *b, float scale, int64_t O, int64_t I,
                       int64_t R)
{
#pragma omp parallel for if (O * I >= PARALLEL_ELEMENTS)
    for (int64_t o = 0; o < O; o++) {
        float row[COLUMN_BLOCK];
        double sum = 0;
        for (int64_t i = 0; i < I; i += COLUMN_BLOCK) {
            const int64_t width = width_of(I, i);
            adapted(row, w + o * I + i, b + o * R, 1, a + i, I, scale, R, width);
            sum += (double)row_dot(row, row, width);
        }
        norms[o] = (float)sqrt(sum);
    }
}

void adapted_column_squares(double *sums, const float *e, const float *a, int64_t lda, const float *b, float scale,
                            int64_t V, int64_t C, int64_t R)
{
#pragma omp parallel for if (V * C >= PARALLEL_ELEMENTS)
    for (int64_t block = 0; block < blocks_of(C); block++) {
        const int64_t c = block * COLUMN_BLOCK, width = width_of(C, c);
        float row[COLUMN_BLOCK];
        for (int64_t v = 0; v < V; v++) {
            adapted(row, e + v * C + c, a + v, lda, b + c, C, scale, R, width);
#pragma omp simd
            for (int64_t i = 0; i < width; i++)
                sums[c + i] += (double)row[i] * (double)row[i];
        }
    }
}
