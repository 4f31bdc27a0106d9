/* layernorm - a normalisation with its gain and bias, frozen or trained, and
 * what backward needs of it. Its output is not kept: it is made again from the
 * normalised rows where somebody needs it.
 *
 * Owner: a block or the embedding. Threads: the caller's one. */
#ifndef WORKER_LAYERS_LAYERNORM_H
#define WORKER_LAYERS_LAYERNORM_H

#include "worker/layers/layout.h"
#include "worker/layers/module.h"
#include "worker/layers/pass.h"

typedef struct LayerNorm {
    ModuleView module;
    float eps;
    float *xhat, *inv; /* [rows, C], [rows]; NULL: nobody needs them */
} LayerNorm;

/* What is added to what: y = norm(dropout(x + bias) + residual), or norm(x) alone. */
typedef struct LayerNormInput {
    const float *x;        /* [N,C] */
    const float *bias;     /* [C] of the linear before it; NULL: none */
    const float *residual; /* [N,C]; NULL: none, and no bias and dropout either */
    Dropout dropout;
} LayerNormInput;

void layernorm_layout(LayerNorm *norm, Layout *layout, int64_t most_rows, bool kept);

/* y[N,C], another buffer than x. */
void layernorm_forward(LayerNorm *norm, float *y, const LayerNormInput *input, const Rows *rows,
                       const Pass *pass);

/* dy[N,C] becomes the gradient at the sum that was normalised. */
void layernorm_backward(LayerNorm *norm, float *dy, const Rows *rows, const Pass *pass);

/* y[N,C] = what forward gave. */
void layernorm_restore(const LayerNorm *norm, float *y, const Rows *rows, const Pass *pass);

#endif
