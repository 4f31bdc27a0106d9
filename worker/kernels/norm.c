#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"

#include <math.h>
#include <stddef.h>

enum { GAIN_COLUMNS = 64 }; /* columns whose gradient is summed together */

/* y = v * gain + bias of v = (s - mean) * inv, which is kept in xhat (NULL: it is not);
 * bias NULL: none. y may be s. */
static void scale_row(float *y, float *xhat, const float *s, float mean, float inv, const float *gain,
                      const float *bias, int64_t C)
{
    if (bias == NULL) {
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            const float v = (s[c] - mean) * inv;
            if (xhat != NULL)
                xhat[c] = v;
            y[c] = v * gain[c];
        }
        return;
    }
    if (xhat == NULL) {
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y[c] = (s[c] - mean) * inv * gain[c] + bias[c];
        return;
    }
#pragma omp simd
    for (int64_t c = 0; c < C; c++) {
        const float v = (s[c] - mean) * inv;
        xhat[c] = v;
        y[c] = v * gain[c] + bias[c];
    }
}

/* Normalises s[0,C), whose sum is `sum`. Returns inv = 1/deviation, or 1/root mean square
 * when only the scale is normalised. The variance is summed from differences to the mean,
 * not from squares, which would cancel. y may be s; xhat may be NULL. */
static float normalise_row(float *y, float *xhat, const float *s, float sum, const float *gain, const float *bias,
                           int64_t C, float eps, bool rms)
{
    const float mean = rms ? 0.0f : sum / (float)C;
    float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < C; c++)
        squares += (s[c] - mean) * (s[c] - mean);

    const float inv = 1.0f / sqrtf(squares / (float)C + eps);
    scale_row(y, xhat, s, mean, inv, gain, bias, C);
    return inv;
}

/* s = x + residual (NULL: none); returns its sum. */
static float add_row(float *s, const float *x, const float *residual, int64_t C)
{
    float sum = 0.0f;
    if (residual == NULL) {
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < C; c++) {
            s[c] = x[c];
            sum += s[c];
        }
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; c++) {
        const float v = x[c] + residual[c];
        s[c] = v;
        sum += v;
    }
    return sum;
}

void norm_forward(float *y, float *xhat, float *inv, const float *x, const float *residual, const float *gain,
                  const float *bias, int64_t N, int64_t C, float eps, bool rms)
{
#pragma omp parallel for if (N * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++) {
        float *y_n = y + n * C; /* holds the row's sum until it is normalised */
        const float sum = add_row(y_n, x + n * C, residual != NULL ? residual + n * C : NULL, C);
        const float inv_n = normalise_row(y_n, xhat != NULL ? xhat + n * C : NULL, y_n, sum, gain, bias, C, eps, rms);
        if (inv != NULL)
            inv[n] = inv_n;
    }
}

/* s = dropout(x) + residual; returns its sum, added in the order of add_row: compilers take a loop with random bits
 * by fewer at a time, or one by one, and who normalises the sum elsewhere has only the sum. */
static float drop_add_row(float *s, const float *x, RowMask mask, const float *residual, int64_t C)
{
#pragma omp simd
    for (int64_t c = 0; c < C; c++) {
        const uint32_t bits = rng_bits(mask.key, mask.first + (uint32_t)c);
        s[c] = (bits >= mask.threshold ? x[c] * mask.scale : 0.0f) + residual[c];
    }
    return add_row(s, s, NULL, C);
}

static void bias_row(float *s, const float *x, const float *bias, int64_t C)
{
#pragma omp simd
    for (int64_t c = 0; c < C; c++)
        s[c] = x[c] + bias[c];
}

/* s = (x + bias) + residual; returns its sum. */
static float bias_add_row(float *s, const float *x, const float *bias, const float *residual, int64_t C)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; c++) {
        const float v = (x[c] + bias[c]) + residual[c];
        s[c] = v;
        sum += v;
    }
    return sum;
}

void sum_norm_forward(float *y, float *xhat, float *inv, const NormInput *input, const Rows *rows,
                      const NormScale *norm)
{
    const int64_t C = norm->C;
    const Dropout *dropout = &input->dropout;
#pragma omp parallel for if (rows->N * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < rows->N; n++) {
        float *s_n = (input->sum != NULL ? input->sum : y) + n * C; /* y may hold it until it is normalised */
        const float *from = input->x + n * C;
        const float *residual_n = input->residual + n * C;
        if (input->bias != NULL && dropout->p > 0.0f) {
            bias_row(y + n * C, from, input->bias, C);
            from = y + n * C;
        }
        const float total = dropout->p > 0.0f ? drop_add_row(s_n, from, row_mask(rows, dropout, n, C), residual_n, C)
                            : input->bias != NULL ? bias_add_row(s_n, from, input->bias, residual_n, C)
                                                  : add_row(s_n, from, residual_n, C);
        if (norm->gain == NULL)
            continue;
        const float inv_n = normalise_row(y + n * C, xhat != NULL ? xhat + n * C : NULL, s_n, total, norm->gain,
                                          norm->bias, C, norm->eps, norm->rms);
        if (inv != NULL)
            inv[n] = inv_n;
    }
}

/* dgain[c] += sum_n dy xhat, dbias[c] += sum_n dy, rows in order for any number
 * of threads: they share out columns. */
static void gain_backward(float *dgain, float *dbias, const float *dy, const float *xhat, int64_t N, int64_t C)
{
    if (dbias != NULL)
        bias_backward(dbias, dy, C, N, C);
    if (dgain == NULL)
        return;
#pragma omp parallel for if (N * C >= PARALLEL_ELEMENTS)
    for (int64_t first = 0; first < C; first += GAIN_COLUMNS) {
        const int64_t width = C - first < GAIN_COLUMNS ? C - first : GAIN_COLUMNS;
        double total[GAIN_COLUMNS] = { 0 };
        for (int64_t n = 0; n < N; n++) {
            const float *dy_n = dy + n * C + first, *xhat_n = xhat + n * C + first;
#pragma omp simd
            for (int64_t c = 0; c < width; c++)
                total[c] += (double)(dy_n[c] * xhat_n[c]);
        }
        for (int64_t c = 0; c < width; c++)
            dgain[first + c] += (float)total[c];
    }
}

/* With g = dy * gain:  ds = inv * (g - mean(g) - xhat * mean(g * xhat)), where a norm of the
 * scale alone has no mean(g); plus what is there of dsum. */
static void norm_backward_row(float *ds, const float *dy, const float *dsum, const float *xhat, float inv,
                              const float *gain, int64_t C, bool rms)
{
    float sum = 0.0f, dot = 0.0f;
#pragma omp simd reduction(+ : sum, dot)
    for (int64_t c = 0; c < C; c++) {
        const float g = dy[c] * gain[c];
        sum += g;
        dot += g * xhat[c];
    }
    const float mean = rms ? 0.0f : sum / (float)C, slope = dot / (float)C;
    if (dsum == NULL) {
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            ds[c] = inv * (dy[c] * gain[c] - mean - xhat[c] * slope);
        return;
    }
#pragma omp simd
    for (int64_t c = 0; c < C; c++)
        ds[c] = dsum[c] + inv * (dy[c] * gain[c] - mean - xhat[c] * slope);
}

void norm_backward(float *ds, float *dgain, float *dbias, const float *dy, const float *dsum, const float *xhat,
                   const float *inv, const float *gain, int64_t N, int64_t C, bool rms)
{
    gain_backward(dgain, dbias, dy, xhat, N, C); /* first: ds may be dy */
#pragma omp parallel for if (N * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++)
        norm_backward_row(ds + n * C, dy + n * C, dsum != NULL ? dsum + n * C : NULL, xhat + n * C, inv[n], gain, C,
                          rms);
}
