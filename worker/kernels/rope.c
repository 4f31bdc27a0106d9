#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"

/* One head's row: pairs lie D/2 apart. */
static void rotate(float *x, const float *cosine, const float *sine, int64_t half, float sign)
{
#pragma omp simd
    for (int64_t j = 0; j < half; j++) {
        const float a = x[j], b = x[half + j], s = sign * sine[j];
        x[j] = a * cosine[j] - b * s;
        x[half + j] = b * cosine[j] + a * s;
    }
}

void rope_apply(float *x, int64_t ld, int64_t heads, int64_t D, const Rows *rows, const float *cosine,
                const float *sine, bool back)
{
    const int64_t half = D / 2;
    const float sign = back ? -1.0f : 1.0f;
#pragma omp parallel for if (rows->N * heads * D >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < rows->N; n++) {
        const int64_t t = n - rows->start[rows_example(rows, n)];
        for (int64_t h = 0; h < heads; h++)
            rotate(x + n * ld + h * D, cosine + t * half, sine + t * half, half, sign);
    }
}
