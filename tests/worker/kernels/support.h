/* support - what the kernel tests share: reproducible inputs, comparison with a
 * double reference, buffers whose ends are watched. */
#ifndef TESTS_WORKER_KERNELS_SUPPORT_H
#define TESTS_WORKER_KERNELS_SUPPORT_H

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/kernels/kernels.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum { GUARD = 64 };
static const float guard_value = 1234.5f;

/* n floats with GUARD watched floats before and behind; release with guarded_free. */
static inline float *guarded_new(int64_t n)
{
    float *all = xmalloc((size_t)(n + 2 * GUARD) * sizeof *all);
    for (int64_t i = 0; i < n + 2 * GUARD; i++)
        all[i] = guard_value;
    return all + GUARD;
}

/* Fails when something wrote outside [0,n). */
static inline void guarded_free(float *data, int64_t n)
{
    for (int64_t i = 0; i < GUARD; i++) {
        assert_true(data[-1 - i] == guard_value);
        assert_true(data[n + i] == guard_value);
    }
    free(data - GUARD);
}

static inline float *random_new(int64_t n, float deviation, uint32_t stream)
{
    float *data = guarded_new(n);
    rng_normal(data, n, deviation, rng_key(7, 0, 0, stream));
    return data;
}

/* |got - expected| <= tolerance * (1 + |expected|), and says where it is not. */
static inline void check_near(const char *what, int64_t i, double got, double expected, double tolerance)
{
    if (fabs(got - expected) <= tolerance * (1.0 + fabs(expected)))
        return;
    fail_msg("%s[%lld]: %.9g, expected %.9g", what, (long long)i, got, expected);
}

static inline void check_all_near(const char *what, const float *got, const double *expected, int64_t n,
                                  double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        check_near(what, i, (double)got[i], expected[i], tolerance);
}

static inline void check_same_bits(const char *what, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s[%lld]: %.9g and %.9g differ", what, (long long)i, (double)a[i], (double)b[i]);
    }
}

/* Sequences of these lengths, end to end; start has room for count + 1. */
static inline Rows rows_of(int64_t *start, const int64_t *lengths, int64_t count)
{
    Rows rows = { .B = count, .start = start };
    start[0] = 0;
    for (int64_t b = 0; b < count; b++) {
        start[b + 1] = start[b] + lengths[b];
        rows.longest = lengths[b] > rows.longest ? lengths[b] : rows.longest;
    }
    rows.N = start[count];
    return rows;
}

static inline double *doubles_new(int64_t n)
{
    return xcalloc((size_t)n + 1, sizeof(double));
}

#endif
