/* Slopes of attention with linear biases. Source: Press et al. 2021; Transformers, build_alibi_tensor. */
#include "common/base/maths.h"
#include "common/model/arch.h"

/* Of a power of two of heads: the i-th of n is 2^(-8 i / n), i from 1. */
static float slope(int64_t i, int64_t n)
{
    return (float)maths_pow(2, -8 * (double)i / (double)n);
}

/* Heads beyond a power of two have every other slope of twice as many. */
void arch_alibi_slopes(const ModelArch *arch, float *out)
{
    int64_t n = 1;
    while (2 * n <= arch->H)
        n *= 2;
    for (int64_t h = 0; h < arch->H; h++)
        out[h] = h < n ? slope(h + 1, n) : slope(2 * (h - n) + 1, 2 * n);
}
