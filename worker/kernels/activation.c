#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"
#include "worker/kernels/vmath.h"

#include "common/base/err.h"

static const float inv_sqrt_2pi = 0.3989422804014327f;
static const float gelu_tanh_a = 0.7978845608028654f; /* sqrt(2 / pi) */
static const float gelu_tanh_b = 0.044715f;

/* One function a kind, value and derivative side by side; a row loop is made of
 * each below. Hendrycks and Gimpel 2016 for the GELUs:
 *   gelu(x) = x P(Z <= x);  gelu'(x) = P(Z <= x) + x density(x) */

static inline float gelu(float x)
{
    float bell;
    return x * vm_normal(x, &bell);
}

static inline float gelu_slope(float x)
{
    float bell;
    const float below = vm_normal(x, &bell);
    return below + x * bell * inv_sqrt_2pi;
}

/* x (1 + tanh(y)) / 2 = x sigmoid(2y), y = a (x + b x^3) */
static inline float gelu_tanh(float x)
{
    return x * vm_sigmoid(2.0f * gelu_tanh_a * (x + gelu_tanh_b * x * x * x));
}

static inline float gelu_tanh_slope(float x)
{
    const float s = vm_sigmoid(2.0f * gelu_tanh_a * (x + gelu_tanh_b * x * x * x));
    return s + x * s * (1.0f - s) * 2.0f * gelu_tanh_a * (1.0f + 3.0f * gelu_tanh_b * x * x);
}

static inline float quick_gelu(float x)
{
    return x * vm_sigmoid(1.702f * x);
}

static inline float quick_gelu_slope(float x)
{
    const float s = vm_sigmoid(1.702f * x);
    return s + 1.702f * x * s * (1.0f - s);
}

static inline float silu(float x)
{
    return x * vm_sigmoid(x);
}

static inline float silu_slope(float x)
{
    const float s = vm_sigmoid(x);
    return s + x * s * (1.0f - s);
}

static inline float relu(float x)
{
    return x < 0.0f ? 0.0f : x; /* NaN stays NaN */
}

static inline float relu_slope(float x)
{
    return x > 0.0f ? 1.0f : 0.0f;
}

static inline float tanh_slope(float x)
{
    const float y = vm_tanh(x);
    return 1.0f - y * y;
}

/* One row, for a constant function: inlined with it into each case below, so
 * that the loop holds no call and becomes vectors. */
typedef float Function(float x);
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void forward_row(float *y, float *pre, const float *x, const float *bias, int64_t F, Function *value)
{
    if (bias == NULL) {
#pragma omp simd
        for (int64_t f = 0; f < F; f++) {
            const float sum = x[f];
            pre[f] = sum;
            y[f] = value(sum);
        }
        return;
    }
#pragma omp simd
    for (int64_t f = 0; f < F; f++) {
        const float sum = x[f] + bias[f];
        pre[f] = sum;
        y[f] = value(sum);
    }
}

ALWAYS_INLINE void backward_row(float *dx, const float *dy, const float *pre, int64_t F, Function *slope)
{
#pragma omp simd
    for (int64_t f = 0; f < F; f++)
        dx[f] = dy[f] * slope(pre[f]);
}

/* Gate and up lie behind one another in a row: pre[0,F) and pre[F,2F). */
ALWAYS_INLINE void gated_forward_row(float *y, float *pre, const float *x, const float *bias, int64_t F,
                                     Function *value)
{
    if (bias == NULL) {
#pragma omp simd
        for (int64_t f = 0; f < F; f++) {
            const float gate = x[f], up = x[F + f];
            if (pre != x) {
                pre[f] = gate;
                pre[F + f] = up;
            }
            y[f] = value(gate) * up;
        }
        return;
    }
#pragma omp simd
    for (int64_t f = 0; f < F; f++) {
        const float gate = x[f] + bias[f], up = x[F + f] + bias[F + f];
        pre[f] = gate;
        pre[F + f] = up;
        y[f] = value(gate) * up;
    }
}

ALWAYS_INLINE void gated_backward_row(float *dpre, const float *dy, const float *pre, int64_t F, Function *value,
                                      Function *slope)
{
#pragma omp simd
    for (int64_t f = 0; f < F; f++) {
        const float gate = pre[f], up = pre[F + f];
        dpre[f] = dy[f] * up * slope(gate);
        dpre[F + f] = dy[f] * value(gate);
    }
}

/* pre may be y: the sum is stored before the value. */
static void forward_kind(float *y, float *pre, const float *x, const float *bias, int64_t F, Activation kind)
{
    switch (kind) {
    case ACT_GELU:
        forward_row(y, pre, x, bias, F, gelu);
        return;
    case ACT_GELU_TANH:
    case ACT_GELU_FAST: /* the same formula, its constants multiplied out */
        forward_row(y, pre, x, bias, F, gelu_tanh);
        return;
    case ACT_QUICK_GELU:
        forward_row(y, pre, x, bias, F, quick_gelu);
        return;
    case ACT_RELU:
        forward_row(y, pre, x, bias, F, relu);
        return;
    case ACT_SILU:
        forward_row(y, pre, x, bias, F, silu);
        return;
    case ACT_TANH:
        forward_row(y, pre, x, bias, F, vm_tanh);
        return;
    }
    REQUIRE(!"an activation");
}

static void backward_kind(float *dx, const float *dy, const float *pre, int64_t F, Activation kind)
{
    switch (kind) {
    case ACT_GELU:
        backward_row(dx, dy, pre, F, gelu_slope);
        return;
    case ACT_GELU_TANH:
    case ACT_GELU_FAST:
        backward_row(dx, dy, pre, F, gelu_tanh_slope);
        return;
    case ACT_QUICK_GELU:
        backward_row(dx, dy, pre, F, quick_gelu_slope);
        return;
    case ACT_RELU:
        backward_row(dx, dy, pre, F, relu_slope);
        return;
    case ACT_SILU:
        backward_row(dx, dy, pre, F, silu_slope);
        return;
    case ACT_TANH:
        backward_row(dx, dy, pre, F, tanh_slope);
        return;
    }
    REQUIRE(!"an activation");
}

static void gated_forward_kind(float *y, float *pre, const float *x, const float *bias, int64_t F, Activation kind)
{
    switch (kind) {
    case ACT_GELU:
        gated_forward_row(y, pre, x, bias, F, gelu);
        return;
    case ACT_GELU_TANH:
    case ACT_GELU_FAST:
        gated_forward_row(y, pre, x, bias, F, gelu_tanh);
        return;
    case ACT_QUICK_GELU:
        gated_forward_row(y, pre, x, bias, F, quick_gelu);
        return;
    case ACT_RELU:
        gated_forward_row(y, pre, x, bias, F, relu);
        return;
    case ACT_SILU:
        gated_forward_row(y, pre, x, bias, F, silu);
        return;
    case ACT_TANH:
        gated_forward_row(y, pre, x, bias, F, vm_tanh);
        return;
    }
    REQUIRE(!"an activation");
}

static void gated_backward_kind(float *dpre, const float *dy, const float *pre, int64_t F, Activation kind)
{
    switch (kind) {
    case ACT_GELU:
        gated_backward_row(dpre, dy, pre, F, gelu, gelu_slope);
        return;
    case ACT_GELU_TANH:
    case ACT_GELU_FAST:
        gated_backward_row(dpre, dy, pre, F, gelu_tanh, gelu_tanh_slope);
        return;
    case ACT_QUICK_GELU:
        gated_backward_row(dpre, dy, pre, F, quick_gelu, quick_gelu_slope);
        return;
    case ACT_RELU:
        gated_backward_row(dpre, dy, pre, F, relu, relu_slope);
        return;
    case ACT_SILU:
        gated_backward_row(dpre, dy, pre, F, silu, silu_slope);
        return;
    case ACT_TANH:
        gated_backward_row(dpre, dy, pre, F, vm_tanh, tanh_slope);
        return;
    }
    REQUIRE(!"an activation");
}

void bias_act_forward(float *y, float *pre, const float *x, const float *bias, int64_t N, int64_t F, Activation act)
{
    float *sum = pre != NULL ? pre : y;
#pragma omp parallel for if (N * F >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++)
        forward_kind(y + n * F, sum + n * F, x + n * F, bias, F, act);
}

void act_backward(float *dx, const float *dy, const float *pre, int64_t N, int64_t F, Activation act)
{
#pragma omp parallel for if (N * F >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++)
        backward_kind(dx + n * F, dy + n * F, pre + n * F, F, act);
}

void gated_act_forward(float *y, float *pre, const float *x, const float *bias, int64_t N, int64_t F, Activation act)
{
#pragma omp parallel for if (N * F >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++)
        gated_forward_kind(y + n * F, pre + 2 * n * F, x + 2 * n * F, bias, F, act);
}

void gated_act_backward(float *dpre, const float *dy, const float *pre, int64_t N, int64_t F, Activation act)
{
#pragma omp parallel for if (N * F >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++)
        gated_backward_kind(dpre + 2 * n * F, dy + n * F, pre + 2 * n * F, F, act);
}
