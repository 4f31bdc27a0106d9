#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"

enum { COLUMN_BLOCK = 256 }; /* columns summed together: their sums stay in the nearest cache */

void bias_add(float *x, const float *bias, int64_t N, int64_t C)
{
#pragma omp parallel for if (N * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++) {
        float *x_n = x + n * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            x_n[c] += bias[c];
    }
}

/* dbias[0,width) += the column sums of dy[N,width], rows in order. */
static void sum_columns(float *dbias, const float *dy, int64_t ldy, int64_t N, int64_t width)
{
    double total[COLUMN_BLOCK] = { 0 };
    for (int64_t n = 0; n < N; n++) {
        const float *dy_n = dy + n * ldy;
#pragma omp simd
        for (int64_t c = 0; c < width; c++)
            total[c] += (double)dy_n[c];
    }
    for (int64_t c = 0; c < width; c++)
        dbias[c] += (float)total[c];
}

void bias_backward(float *dbias, const float *dy, int64_t ldy, int64_t N, int64_t C)
{
    const int64_t blocks = (C + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
#pragma omp parallel for if (N * C >= PARALLEL_ELEMENTS)
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t c = block * COLUMN_BLOCK;
        sum_columns(dbias + c, dy + c, ldy, N, C - c < COLUMN_BLOCK ? C - c : COLUMN_BLOCK);
    }
}
