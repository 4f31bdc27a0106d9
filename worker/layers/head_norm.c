#include "worker/layers/head_norm.h"

#include <string.h>

void head_norm_keep_layout(NormKeep *keep, const Norm *norm, Layout *layout, int64_t rows, int64_t heads)
{
    norm_keep_layout(keep, norm, layout, rows * heads);
}

static int64_t width(const Norm *norm, int64_t heads)
{
    return heads * norm->C;
}

/* The rows close together: where they are, else in pass->o. */
static float *gather(float *x, int64_t ld, int64_t C, int64_t N, const Pass *pass)
{
    for (int64_t n = 0; n < N && ld != C; n++)
        memcpy(pass->o + n * C, x + n * ld, (size_t)C * sizeof *x);
    return ld == C ? x : pass->o;
}

static void put_back(float *x, int64_t ld, const float *close, int64_t C, int64_t N)
{
    for (int64_t n = 0; n < N && ld != C; n++)
        memcpy(x + n * ld, close + n * C, (size_t)C * sizeof *x);
}

void head_norm_forward(const Norm *norm, NormKeep *keep, float *x, int64_t ld, int64_t heads, int64_t N, Pass *pass)
{
    const int64_t C = width(norm, heads);
    float *close = gather(x, ld, C, N, pass);
    const NormInput input = { .x = close };
    const Rows rows = { .N = N * heads };
    norm_apply(norm, keep, close, &input, &rows, pass);
    put_back(x, ld, close, C, N);
}

void head_norm_backward(const Norm *norm, const NormKeep *keep, float *g, int64_t ld, int64_t heads, int64_t N,
                        Pass *pass)
{
    const int64_t C = width(norm, heads);
    float *close = gather(g, ld, C, N, pass);
    const Rows rows = { .N = N * heads };
    norm_pull(norm, keep, close, close, NULL, &rows, pass);
    put_back(g, ld, close, C, N);
}
