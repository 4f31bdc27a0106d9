/* rows - what kernels that go by rows share: which example a row of a micro-batch
 * belongs to, how its dropout mask is counted from the start of that example, the
 * product of two rows.
 *
 * Threads: any. */
#ifndef WORKER_KERNELS_ROWS_H
#define WORKER_KERNELS_ROWS_H

#include "worker/kernels/kernels.h"

/* Below this many elements a parallel region costs more than it saves. */
enum { PARALLEL_ELEMENTS = 1 << 15 };

/* The b with start[b] <= n < start[b+1], by bisection: rows may then be shared
 * out among threads in any way. */
static inline int64_t rows_example(const Rows *rows, int64_t n)
{
    int64_t low = 0, high = rows->B; /* start[low] <= n < start[high] */
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (rows->start[middle] <= n)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* What one row needs to draw its mask: element c is kept when
 * rng_bits(key, first + c) >= threshold, and is then multiplied by `scale`. */
typedef struct RowMask {
    RngKey key;
    uint32_t first, threshold;
    float scale;
} RowMask;

static inline RowMask row_mask(const Rows *rows, const Dropout *dropout, int64_t n, int64_t C)
{
    const int64_t b = rows_example(rows, n);
    return (RowMask){ .key = dropout->keys[b],
                      .first = (uint32_t)((n - rows->start[b]) * C),
                      .threshold = rng_threshold(dropout->p),
                      .scale = 1.0f / (1.0f - dropout->p) };
}

/* sum_i a[i] b[i] */
static inline float row_dot(const float *a, const float *b, int64_t n)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

#endif
