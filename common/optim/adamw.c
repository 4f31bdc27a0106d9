#include "common/optim/adamw.h"

#include "common/base/maths.h"
#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>

void adamw_update(float *value, float *m, float *v, const float *g, int64_t n, const AdamW *o)
{
    const double fix1 = 1.0 - maths_pow(o->beta1, (double)o->t);
    const double fix2 = 1.0 - maths_pow(o->beta2, (double)o->t);
    const float keep = (float)(1.0 - o->learning_rate * o->weight_decay);
    const float lerp = (float)(1.0 - o->beta1);
    const float beta2 = (float)o->beta2, rest2 = (float)(1.0 - o->beta2);
    const float root2 = (float)sqrt(fix2), epsilon = (float)o->epsilon;
    const float size = (float)(-o->learning_rate / fix1);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        m[i] += lerp * (g[i] - m[i]);
        v[i] = v[i] * beta2 + rest2 * g[i] * g[i];
        value[i] = value[i] * keep + size * m[i] / (sqrtf(v[i]) / root2 + epsilon);
    }
}

static void divide(float *g, int64_t n, float whole)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        g[i] /= whole;
}

/* Eight partial sums, so that the order is written here and not chosen by the compiler. */
static void add_squares(double part[8], const float *g, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            part[k] += (double)g[i + k] * (double)g[i + k];
    for (int k = 0; i < n; i++, k++)
        part[k] += (double)g[i] * (double)g[i];
}

/* Divided, where it is not by 1, a little at a time, while it lies in the cache. */
static double block_square(float *g, int64_t n, float whole)
{
    enum { PIECE = 4096 }; /* a multiple of 8 */
    double part[8] = { 0 };
    for (int64_t at = 0; at < n; at += PIECE) {
        const int64_t left = n - at < PIECE ? n - at : PIECE;
        if (whole != 1.0F)
            divide(g + at, left, whole);
        add_squares(part, g + at, left);
    }
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

int64_t adamw_blocks(int64_t n)
{
    return (n + ADAMW_BLOCK - 1) / ADAMW_BLOCK;
}

static float divisor(double over)
{
    return over > 0 ? (float)over : 1.0F;
}

void adamw_mean(float *g, int64_t n, double over)
{
    divide(g, n, divisor(over));
}

double adamw_mean_norm(float *g, int64_t n, double over)
{
    const float whole = divisor(over);
    const int64_t blocks = adamw_blocks(n);
    double *square = xcalloc((size_t)blocks + 1, sizeof *square), sum = 0;
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t begin = b * ADAMW_BLOCK, left = n - begin;
        square[b] = block_square(g + begin, left < ADAMW_BLOCK ? left : ADAMW_BLOCK, whole);
    }
    for (int64_t b = 0; b < blocks; b++)
        sum += square[b];
    free(square);
    return sqrt(sum);
}

float adamw_clip(double norm, double most)
{
    if (most <= 0)
        return 1.0F;
    const double factor = most / (norm + 1e-6);
    return factor < 1.0 ? (float)factor : 1.0F;
}
