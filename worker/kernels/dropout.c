#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"

#include <string.h>

static void dropout_row(float *y, const float *x, RowMask mask, int64_t C)
{
#pragma omp simd
    for (int64_t c = 0; c < C; c++) {
        const uint32_t bits = rng_bits(mask.key, mask.first + (uint32_t)c);
        y[c] = bits >= mask.threshold ? x[c] * mask.scale : 0.0f;
    }
}

void dropout_apply(float *y, const float *x, const Rows *rows, Dropout dropout, int64_t C)
{
    if (!(dropout.p > 0.0f)) {
        if (y != x)
            memcpy(y, x, (size_t)(rows->N * C) * sizeof *y);
        return;
    }
#pragma omp parallel for if (rows->N * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < rows->N; n++)
        dropout_row(y + n * C, x + n * C, row_mask(rows, &dropout, n, C), C);
}
