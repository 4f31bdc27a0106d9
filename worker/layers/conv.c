#include "worker/layers/conv.h"

#include "worker/kernels/kernels.h"

#include <string.h>

bool conv_is_there(const Conv *conv)
{
    return conv->linear.parts > 0;
}

bool conv_plan(Conv *conv, bool below, bool stream)
{
    if (!conv_is_there(conv))
        return stream;
    conv->needs_in = below;
    conv->needs_body = below || linear_is_trained(&conv->linear);
    conv->needs_out = stream || conv->needs_body || module_is_trained(&conv->norm.module);
    return conv->needs_out;
}

void conv_layout(Conv *conv, Layout *layout, const PassSizes *sizes)
{
    if (!conv_is_there(conv))
        return;
    linear_layout(&conv->linear, layout);
    norm_layout(&conv->norm, layout);
    conv->room = layout_floats(layout, sizes->most_tokens * conv->C);
}

void conv_keep_layout(ConvKeep *keep, const Conv *conv, Layout *layout, const PassSizes *sizes)
{
    const int64_t N = sizes->most_tokens;
    if (!conv_is_there(conv))
        return;
    norm_keep_layout(&keep->norm, &conv->norm, layout, N);
    linear_keep_layout(&keep->linear, &conv->linear, layout, N);
    keep->rows = layout_floats(layout, N * conv->C);
    keep->pre = layout_floats(layout, N * conv->C);
}

void conv_measure(const Conv *conv, bool drops, PassSizes *sizes)
{
    linear_measure(&conv->linear, drops, sizes);
    sizes->wide = conv->linear.in > sizes->wide ? conv->linear.in : sizes->wide;
}

void conv_bind(Conv *conv, const float *values)
{
    linear_bind(&conv->linear, values);
    norm_bind(&conv->norm, values);
}

static const float *rows_of(const Conv *conv, const ConvKeep *keep)
{
    return keep ? keep->rows : conv->room;
}

void conv_take(const Conv *conv, ConvKeep *keep, Pass *pass)
{
    if (conv_is_there(conv))
        memcpy(keep ? keep->rows : conv->room, pass->x, (size_t)(pass->rows.N * conv->C) * sizeof(float));
}

/* The row that tap k of row n reads; -1: outside its sequence. */
static int64_t row_at(const Conv *conv, int64_t n, int64_t k, int64_t first, int64_t end)
{
    const int64_t at = n + k - conv->kernel / 2;
    return at >= first && at < end ? at : -1;
}

/* pass->g[N, C * kernel]: of every column its taps. */
static void gather(const Conv *conv, const float *rows, Pass *pass)
{
    const int64_t C = conv->C, K = conv->kernel;
    for (int64_t b = 0; b < pass->rows.B; b++)
        for (int64_t n = pass->rows.start[b]; n < pass->rows.start[b + 1]; n++)
            for (int64_t k = 0; k < K; k++) {
                const int64_t at = row_at(conv, n, k, pass->rows.start[b], pass->rows.start[b + 1]);
                for (int64_t c = 0; c < C; c++)
                    pass->g[(n * C + c) * K + k] = at < 0 ? 0 : rows[at * C + c];
            }
}

/* rows[N,C] (written) = the sums of what pass->g has for each. */
static void scatter(const Conv *conv, float *rows, const Pass *pass)
{
    const int64_t C = conv->C, K = conv->kernel;
    memset(rows, 0, (size_t)(pass->rows.N * C) * sizeof *rows);
    for (int64_t b = 0; b < pass->rows.B; b++)
        for (int64_t n = pass->rows.start[b]; n < pass->rows.start[b + 1]; n++)
            for (int64_t k = 0; k < K; k++) {
                const int64_t at = row_at(conv, n, k, pass->rows.start[b], pass->rows.start[b + 1]);
                for (int64_t c = 0; at >= 0 && c < C; c++)
                    rows[at * C + c] += pass->g[(n * C + c) * K + k];
            }
}

static void drop(const Conv *conv, float *x, Pass *pass)
{
    const Dropout dropout = pass_dropout(pass, conv->layer, SITE_CONV, conv->dropout);
    if (dropout.p > 0)
        kernels->dropout_apply(x, x, &pass->rows, dropout, conv->C);
}

void conv_forward(const Conv *conv, ConvKeep *keep, Pass *pass)
{
    const int64_t N = pass->rows.N, C = conv->C;
    if (!conv_is_there(conv))
        return;
    gather(conv, rows_of(conv, keep), pass);
    linear_forward(&conv->linear, keep ? &keep->linear : NULL, pass->o, C, pass->g, &pass->rows, pass);
    linear_add_bias(&conv->linear, pass->o, C, N);
    drop(conv, pass->o, pass);
    kernels->bias_act_forward(pass->o, keep ? keep->pre : NULL, pass->o, NULL, N, C, conv->act);
    const NormInput input = { .x = pass->o, .residual = pass->x };
    norm_apply(&conv->norm, keep ? &keep->norm : NULL, pass->y, &input, &pass->rows, pass);
    pass_exchange(&pass->x, &pass->y);
}

void conv_backward(const Conv *conv, ConvKeep *keep, Pass *pass)
{
    const int64_t N = pass->rows.N, C = conv->C;
    if (!conv_is_there(conv) || !conv->needs_out)
        return;
    norm_pull(&conv->norm, &keep->norm, pass->x, pass->x, NULL, &pass->rows, pass);
    if (!conv->needs_body)
        return;
    kernels->act_backward(pass->o, pass->x, keep->pre, N, C, conv->act);
    drop(conv, pass->o, pass);
    gather(conv, keep->rows, pass);
    const LinearGrad grad = { .dy = pass->o, .ldy = C, .x = pass->g, .dx = conv->needs_in ? pass->g : NULL };
    linear_backward(&conv->linear, &keep->linear, &grad, &pass->rows, pass);
    if (conv->needs_in)
        scatter(conv, keep->rows, pass);
}

void conv_give(const Conv *conv, const ConvKeep *keep, Pass *pass)
{
    for (int64_t i = 0; conv_is_there(conv) && conv->needs_in && i < pass->rows.N * conv->C; i++)
        pass->x[i] += keep->rows[i];
}
