#include "common/base/maths.h"
#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"
#include "worker/kernels/vmath.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { GOAL_IGNORED = -100 }; /* torch's ignore_index */
enum { STRETCH = 512 }; /* floats that are summed in float */

/* log sum_v exp(logits[v]), the largest taken out so that nothing overflows. */
static double log_sum_exp(const float *logits, int64_t V)
{
    float max = -INFINITY;
    for (int64_t v = 0; v < V; v++)
        max = logits[v] > max ? logits[v] : max;
    double sum = 0.0;
    for (int64_t v = 0; v < V; v++)
        sum += maths_exp((double)logits[v] - (double)max);
    return (double)max + maths_log(sum);
}

/* sum_v logits[v], over short stretches in float, whose sums are double. */
static double sum_logits(const float *logits, int64_t V)
{
    double sum = 0.0;
    for (int64_t from = 0; from < V; from += STRETCH) {
        const int64_t n = V - from < STRETCH ? V - from : STRETCH;
        const float *x = logits + from;
        float part = 0.0f;
#pragma omp simd reduction(+ : part)
        for (int64_t i = 0; i < n; i++)
            part += x[i];
        sum += (double)part;
    }
    return sum;
}

/* (1 - e) (lse - x[goal]) + e (lse - mean x): what a softened goal adds to a row's loss. */
static double soften(double loss, double lse, const float *logits, int64_t V, double smoothing)
{
    return (1.0 - smoothing) * loss + smoothing * (lse - sum_logits(logits, V) / (double)V);
}

double cross_entropy(float *dlogits, const float *logits, const int32_t *goal, int64_t N, int64_t V, double smoothing,
                     int64_t *count)
{
    const float share = (float)(smoothing / (double)V);
    double loss = 0.0;
    *count = 0;
    for (int64_t n = 0; n < N; n++) {
        const float *logits_n = logits + n * V;
        float *dlogits_n = dlogits != NULL ? dlogits + n * V : NULL;
        const bool counts = goal[n] != GOAL_IGNORED;
        const double lse = counts ? log_sum_exp(logits_n, V) : 0.0;
        for (int64_t v = 0; dlogits_n != NULL && v < V; v++)
            dlogits_n[v] = counts ? (float)maths_exp((double)logits_n[v] - lse) : 0.0f;
        if (!counts)
            continue;
        for (int64_t v = 0; dlogits_n != NULL && smoothing > 0 && v < V; v++)
            dlogits_n[v] -= share;
        if (dlogits_n != NULL)
            dlogits_n[goal[n]] -= (float)(1.0 - smoothing);
        const double own = lse - (double)logits_n[goal[n]];
        loss += smoothing > 0 ? soften(own, lse, logits_n, V, smoothing) : own;
        *count += 1;
    }
    return loss;
}

/* sum_v exp(logits[v] - max), in float over short stretches, whose sums are double. */
static double sum_exp(const float *logits, float max, int64_t V)
{
    double sum = 0.0;
    for (int64_t from = 0; from < V; from += STRETCH) {
        const int64_t n = V - from < STRETCH ? V - from : STRETCH;
        const float *x = logits + from;
        float part = 0.0f;
#pragma omp simd reduction(+ : part)
        for (int64_t i = 0; i < n; i++)
            part += vm_exp(x[i] - max);
        sum += (double)part;
    }
    return sum;
}

static RowLoss wide_row(float *logits, int32_t goal, int64_t V, double smoothing, bool gradient)
{
    float max = -INFINITY;
#pragma omp simd reduction(max : max)
    for (int64_t v = 0; v < V; v++)
        max = logits[v] > max ? logits[v] : max;
    const double sum = sum_exp(logits, max, V);
    const double lse = (double)max + maths_log(sum);
    RowLoss loss = { .plain = lse - (double)logits[goal] };
    loss.loss = smoothing > 0 ? soften(loss.plain, lse, logits, V, smoothing) : loss.plain;
    if (!gradient)
        return loss;
    const float scale = (float)(1.0 / sum), share = (float)(smoothing / (double)V);
#pragma omp simd
    for (int64_t v = 0; v < V; v++)
        logits[v] = vm_exp(logits[v] - max) * scale - share;
    logits[goal] -= (float)(1.0 - smoothing);
    return loss;
}

void wide_cross_entropy(float *logits, RowLoss *loss, const int32_t *goal, int64_t N, int64_t V, double smoothing,
                        bool gradient)
{
#pragma omp parallel for if (N * V >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++) {
        float *logits_n = logits + n * V;
        loss[n] = (RowLoss){ 0 };
        if (goal[n] != GOAL_IGNORED)
            loss[n] = wide_row(logits_n, goal[n], V, smoothing, gradient);
        else if (gradient)
            memset(logits_n, 0, (size_t)V * sizeof *logits_n);
    }
}

void bend_logits(float *x, int64_t N, int64_t V, float scale, float cap)
{
    const float part = cap > 0.0f ? scale / cap : 0.0f;
#pragma omp parallel for if (N * V >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++) {
        float *x_n = x + n * V;
#pragma omp simd
        for (int64_t v = 0; v < V; v++)
            x_n[v] = cap > 0.0f ? cap * vm_tanh(x_n[v] * part) : scale * x_n[v];
    }
}

void bend_logits_backward(float *dx, const float *bent, int64_t N, int64_t V, float scale, float cap)
{
    const float part = cap > 0.0f ? 1.0f / cap : 0.0f;
#pragma omp parallel for if (N * V >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++) {
        for (int64_t v = n * V; v < (n + 1) * V; v++) {
            const float y = cap > 0.0f ? bent[v] * part : 0.0f;
            dx[v] *= scale * (1.0f - y * y);
        }
    }
}

double mean_square(float *dlogits, const float *logits, const float *goal, int64_t N)
{
    double loss = 0.0;
    for (int64_t n = 0; n < N; n++) {
        const double difference = (double)logits[n] - (double)goal[n];
        loss += difference * difference;
        if (dlogits != NULL)
            dlogits[n] = (float)(2.0 * difference);
    }
    return loss;
}

/* -z log s(x) - (1 - z) log(1 - s(x)) = max(x, 0) - x z + log(1 + e^-|x|), which
 * does not overflow; its derivative is s(x) - z. */
double binary_cross_entropy(float *dlogits, const float *logits, const float *goal, int64_t N, int64_t V)
{
    double loss = 0.0;
    for (int64_t i = 0; i < N * V; i++) {
        const double x = (double)logits[i], z = (double)goal[i];
        const double small = maths_exp(-fabs(x));
        loss += (x > 0.0 ? x : 0.0) - x * z + maths_log1p(small);
        const double sigmoid = x > 0.0 ? 1.0 / (1.0 + small) : small / (1.0 + small);
        if (dlogits != NULL)
            dlogits[i] = (float)((sigmoid - z) / (double)V);
    }
    return V > 0 ? loss / (double)V : 0.0;
}
