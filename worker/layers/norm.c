#include "worker/layers/norm.h"

#include "worker/kernels/kernels.h"

#include <string.h>

bool norm_is_there(const Norm *norm)
{
    return norm->module.out > 0;
}

void norm_layout(Norm *norm, Layout *layout)
{
    norm->one_room = layout_floats_if(layout, norm->from_one && norm_is_there(norm), norm->C);
}

void norm_bind(Norm *norm, const float *values)
{
    if (!norm->one_room)
        return;
    const float *weight = module_floats(&norm->module, values);
    for (int64_t c = 0; c < norm->C; c++)
        norm->one_room[c] = 1.0f + weight[c];
    norm->gain = norm->one_room;
}

/* What it multiplies by. */
static const float *gain_of(const Norm *norm, const Pass *pass)
{
    return norm->from_one ? norm->gain : module_floats(&norm->module, pass->values);
}

void norm_keep_layout(NormKeep *keep, const Norm *norm, Layout *layout, int64_t most_rows)
{
    keep->xhat = layout_floats(layout, most_rows * norm->C);
    keep->inv = layout_floats_if(layout, norm_is_there(norm), most_rows);
}

/* y[N,C] = x, which is kept as it is. */
static void let_through(const Norm *norm, NormKeep *keep, float *y, const float *x, const Rows *rows)
{
    const size_t bytes = (size_t)(rows->N * norm->C) * sizeof *y;
    if (y != x)
        memcpy(y, x, bytes);
    if (keep && keep->xhat)
        memcpy(keep->xhat, x, bytes);
}

void norm_apply(const Norm *norm, NormKeep *keep, float *y, const NormInput *input, const Rows *rows, const Pass *pass)
{
    const ModuleView *m = &norm->module;
    if (!norm_is_there(norm)) {
        if (input->residual)
            norm_sum(input, y, norm->C, rows);
        let_through(norm, keep, y, input->residual ? input->sum : input->x, rows);
        return;
    }
    const float *gain = gain_of(norm, pass), *bias = module_bias(m, pass->values);
    float *xhat = keep ? keep->xhat : NULL;
    float *inv = keep ? keep->inv : NULL;
    if (!input->residual) {
        REQUIRE(!input->bias && input->dropout.p <= 0 && !input->sum);
        kernels->norm_forward(y, xhat, inv, input->x, NULL, gain, bias, rows->N, m->out, norm->eps, norm->rms);
    } else {
        const NormScale scale = { gain, bias, m->out, norm->eps, norm->rms };
        kernels->sum_norm_forward(y, xhat, inv, input, rows, &scale);
    }
    if (norm->masks)
        pass_clear_padding(pass, y, m->out);
}

void norm_sum(const NormInput *input, float *room, int64_t C, const Rows *rows)
{
    kernels->sum_norm_forward(room, NULL, NULL, input, rows, &(NormScale){ .C = C });
}

/* ds[N,C] = dy + dsum: what goes through has its gradient go through. */
static void add_through(float *ds, const float *dy, const float *dsum, int64_t n)
{
#pragma omp parallel for simd
    for (int64_t i = 0; i < n; i++)
        ds[i] = dsum ? dy[i] + dsum[i] : dy[i];
}

void norm_pull(const Norm *norm, const NormKeep *keep, float *ds, const float *dy, const float *dsum, const Rows *rows,
               const Pass *pass)
{
    const ModuleView *m = &norm->module;
    if (!norm_is_there(norm)) {
        add_through(ds, dy, dsum, rows->N * norm->C);
        return;
    }
    if (norm->masks) {
        REQUIRE(ds == dy && !dsum);
        pass_clear_padding(pass, ds, m->out);
    }
    kernels->norm_backward(ds, module_grad(pass->grad, m->weight_at), module_grad(pass->grad, m->bias_at), dy, dsum,
                           keep->xhat, keep->inv, gain_of(norm, pass), rows->N, m->out, norm->rms);
}

static void restore(const Norm *norm, const NormKeep *keep, float *y, const Rows *rows, const Pass *pass)
{
    const int64_t C = norm->C;
    if (!norm_is_there(norm)) {
        memcpy(y, keep->xhat, (size_t)(rows->N * C) * sizeof *y);
        return;
    }
    const float *gain = gain_of(norm, pass);
    const float *bias = module_bias(&norm->module, pass->values);
#pragma omp parallel for
    for (int64_t n = 0; n < rows->N; n++) {
        const float *xhat_n = keep->xhat + n * C;
        float *y_n = y + n * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y_n[c] = bias ? xhat_n[c] * gain[c] + bias[c] : xhat_n[c] * gain[c];
    }
    if (norm->masks)
        pass_clear_padding(pass, y, C);
}

const float *inlet_restore(const Inlet *inlet, float *y, const Rows *rows, Pass *pass)
{
    if (inlet->rows)
        return inlet->rows;
    restore(inlet->norm, inlet->keep, y, rows, pass);
    const Dropout dropout = pass_dropout(pass, inlet->layer, SITE_EMBED, inlet->dropout);
    if (dropout.p > 0)
        kernels->dropout_apply(y, y, rows, dropout, inlet->norm->C);
    return y;
}
