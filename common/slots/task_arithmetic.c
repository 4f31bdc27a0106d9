#include "common/slots/task_arithmetic.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>

static int larger_first(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* The magnitude of the `kept`-th largest; *equal: how many of that magnitude stay. */
static float border(const float *x, int64_t n, int64_t kept, int64_t *equal)
{
    float *sorted = xmalloc((size_t)n * sizeof *sorted);
    for (int64_t i = 0; i < n; i++)
        sorted[i] = fabsf(x[i]);
    qsort(sorted, (size_t)n, sizeof *sorted, larger_first);
    const float least = sorted[kept - 1];
    *equal = 0;
    for (int64_t i = kept - 1; i >= 0 && sorted[i] == least; i--)
        ++*equal;
    free(sorted);
    return least;
}

static void prune_small(float *x, int64_t n, int64_t kept)
{
    int64_t equal = 0;
    const float least = kept > 0 ? border(x, n, kept, &equal) : INFINITY;
    for (int64_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (size < least || (size == least && equal-- <= 0))
            x[i] = 0;
    }
}

void task_prune(float *x, int64_t n, PruneKind kind, double density, RngKey key)
{
    if (kind == PRUNE_NONE || density >= 1)
        return;
    if (kind == PRUNE_MAGNITUDE) {
        prune_small(x, n, (int64_t)(density * (double)n));
        return;
    }
    const uint32_t threshold = rng_threshold((float)(1 - density));
    for (int64_t i = 0; i < n; i++)
        x[i] = rng_bits(key, (uint32_t)i) >= threshold && density > 0 ? x[i] / (float)density : 0;
}

void task_sum(float *out, float *const *x, const float *weight, int count, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < count; k++)
            sum += x[k][i] * weight[k];
        out[i] = sum;
    }
}

static float sign(float x)
{
    return (float)((x > 0) - (x < 0));
}

void task_ties(float *out, float *const *x, const float *weight, int count, int64_t n, bool by_frequency)
{
    for (int64_t i = 0; i < n; i++) {
        float votes = 0, sum = 0;
        int kept = 0;
        for (int k = 0; k < count; k++)
            votes += by_frequency ? sign(x[k][i]) : x[k][i];
        const float elected = votes >= 0 ? 1 : -1;
        for (int k = 0; k < count; k++)
            if (sign(x[k][i]) == elected) {
                sum += x[k][i] * weight[k];
                kept++;
            }
        out[i] = sum / (float)(kept > 1 ? kept : 1);
    }
}
