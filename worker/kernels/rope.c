#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"

/* One head's row: pairs lie R/2 apart. */
static void rotate(float *x, const float *cosine, const float *sine, int64_t half, float sign)
{
#pragma omp simd
    for (int64_t j = 0; j < half; j++) {
        const float a = x[j], b = x[half + j], s = sign * sine[j];
        x[j] = a * cosine[j] - b * s;
        x[half + j] = b * cosine[j] + a * s;
    }
}

/* The same of pairs that lie side by side. */
static void rotate_neighbours(float *x, const float *cosine, const float *sine, int64_t half, float sign)
{
#pragma omp simd
    for (int64_t j = 0; j < half; j++) {
        const float a = x[2 * j], b = x[2 * j + 1], s = sign * sine[j];
        x[2 * j] = a * cosine[j] - b * s;
        x[2 * j + 1] = b * cosine[j] + a * s;
    }
}

void rope_apply(float *x, int64_t ld, const RopeHeads *heads, const Rows *rows, const float *cosine, const float *sine,
                bool back)
{
    const int64_t half = heads->R / 2;
    const float sign = back ? -1.0f : 1.0f;
#pragma omp parallel for if (rows->N * heads->groups * heads->count * heads->D >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < rows->N; n++) {
        const int64_t t = n - rows->start[rows_example(rows, n)];
        for (int64_t h = 0; h < heads->groups * heads->count; h++) {
            float *head = x + n * ld + h / heads->count * heads->step + h % heads->count * heads->D;
            if (heads->neighbours)
                rotate_neighbours(head, cosine + t * half, sine + t * half, half, sign);
            else
                rotate(head, cosine + t * half, sine + t * half, half, sign);
        }
    }
}
