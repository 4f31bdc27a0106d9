/* attention_row - one query row against keys and values that are kept: scores, softmax, weighted sum. */
#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"
#include "worker/kernels/vmath.h"

#include <math.h>

/* s[0,n) becomes its softmax without the division; returns what to divide by. */
static float softmax(float *s, int64_t n)
{
    float max = -INFINITY, sum = 0.0f;
#pragma omp simd reduction(max : max)
    for (int64_t j = 0; j < n; j++)
        max = s[j] > max ? s[j] : max;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        s[j] = vm_exp(s[j] - max);
        sum += s[j];
    }
    return sum;
}

void attention_row(float *out, const float *q, const float *keys, const float *values, int64_t seen,
                   const AttentionShape *shape, float *scores, int64_t ldscores)
{
    const int64_t D = shape->D, KD = shape->K * D, group = shape->H / shape->K;
    const int64_t first = shape->window > 0 && seen > shape->window ? seen - shape->window : 0;
    const int64_t n = seen - first;

#pragma omp parallel for if (n * shape->H * D > PARALLEL_ELEMENTS)
    for (int64_t h = 0; h < shape->H; h++) {
        const float *k = keys + first * KD + h / group * D, *v = values + first * KD + h / group * D;
        float *s = scores + h * ldscores, *o = out + h * D;
        for (int64_t j = 0; j < n; j++)
            s[j] = row_dot(q + h * D, k + j * KD, D) * shape->scale;
        const float scale = 1.0f / softmax(s, n);
        for (int64_t d = 0; d < D; d++)
            o[d] = 0.0f;
        for (int64_t j = 0; j < n; j++) {
#pragma omp simd
            for (int64_t d = 0; d < D; d++)
                o[d] += s[j] * scale * v[j * KD + d];
        }
    }
}
