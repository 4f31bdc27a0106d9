#include "worker/layers/norm.h"

#include "worker/kernels/kernels.h"

void norm_keep_layout(NormKeep *keep, const Norm *norm, Layout *layout, int64_t most_rows)
{
    keep->xhat = layout_floats(layout, most_rows * norm->module.out);
    keep->inv = layout_floats(layout, most_rows);
}

void norm_apply(const Norm *norm, NormKeep *keep, float *y, const NormInput *input, const Rows *rows, const Pass *pass)
{
    const ModuleView *m = &norm->module;
    const float *gain = module_floats(m, pass->values), *bias = module_bias(m, pass->values);
    float *xhat = keep ? keep->xhat : NULL;
    float *inv = keep ? keep->inv : NULL;
    if (!input->residual) {
        REQUIRE(!input->bias && input->dropout.p <= 0 && !input->sum);
        kernels->norm_forward(y, xhat, inv, input->x, NULL, gain, bias, rows->N, m->out, norm->eps, norm->rms);
        return;
    }
    const NormScale scale = { gain, bias, m->out, norm->eps, norm->rms };
    kernels->sum_norm_forward(y, xhat, inv, input, rows, &scale);
}

void norm_sum(const NormInput *input, float *room, int64_t C, const Rows *rows)
{
    kernels->sum_norm_forward(room, NULL, NULL, input, rows, &(NormScale){ .C = C });
}

void norm_pull(const Norm *norm, const NormKeep *keep, float *ds, const float *dy, const float *dsum, const Rows *rows,
               const Pass *pass)
{
    const ModuleView *m = &norm->module;
    kernels->norm_backward(ds, module_grad(pass->grad, m->weight_at), module_grad(pass->grad, m->bias_at), dy, dsum,
                           keep->xhat, keep->inv, module_floats(m, pass->values), rows->N, m->out, norm->rms);
}

static void restore(const Norm *norm, const NormKeep *keep, float *y, const Rows *rows, const Pass *pass)
{
    const int64_t C = norm->module.out;
    const float *gain = module_floats(&norm->module, pass->values);
    const float *bias = module_bias(&norm->module, pass->values);
#pragma omp parallel for
    for (int64_t n = 0; n < rows->N; n++) {
        const float *xhat_n = keep->xhat + n * C;
        float *y_n = y + n * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y_n[c] = bias ? xhat_n[c] * gain[c] + bias[c] : xhat_n[c] * gain[c];
    }
}

const float *inlet_restore(const Inlet *inlet, float *y, const Rows *rows, Pass *pass)
{
    if (inlet->rows)
        return inlet->rows;
    restore(inlet->norm, inlet->keep, y, rows, pass);
    const Dropout dropout = pass_dropout(pass, inlet->layer, SITE_EMBED, inlet->dropout);
    if (dropout.p > 0)
        kernels->dropout_apply(y, y, rows, dropout, inlet->norm->module.out);
    return y;
}
