/* mlp - the body of a sublayer: each row for itself.
 *
 *   g = act(x Wup + b)       o = g Wdown       (bias of Wdown: by who comes next)
 *
 * Gated: g = act(x Wgate) * (x Wup). g may be dropped. Kept for backward is the activation's input.
 *
 * Owner: a sublayer. Threads: the caller's one. */
#ifndef WORKER_LAYERS_MLP_H
#define WORKER_LAYERS_MLP_H

#include "worker/layers/body.h"
#include "worker/layers/linear.h"

typedef struct Mlp {
    int64_t layer, C, F;
    double dropout; /* of what goes into down */
    Activation act;
    bool gated;
    Linear up, down; /* up: gate | up when gated, as two parts or one module */
    bool needs_in, needs_pre; /* a gradient at the input, at the activation's input */
} Mlp;

/* What backward needs of a forward; NULL: of that nothing. */
typedef struct MlpKeep {
    LinearKeep up, down;
    float *pre; /* [M, F], gated: [M, 2F]; backward puts its gradient there then */
} MlpKeep;

/* Once its linears are set; below: the gradient at its input is needed. True: so is that at its output. */
bool mlp_plan(Mlp *mlp, bool below);
bool mlp_needs_input(const Mlp *mlp); /* for its own gradients */

void mlp_layout(Mlp *mlp, Layout *layout);
void mlp_keep_layout(MlpKeep *keep, const Mlp *mlp, Layout *layout, int64_t most_rows);
void mlp_measure(const Mlp *mlp, bool drops, PassSizes *sizes);
void mlp_bind(Mlp *mlp, const float *values);

/* pass->x[rows,C] -> pass->o[rows,C], without the bias. */
void mlp_forward(const Mlp *mlp, MlpKeep *keep, const Rows *rows, Pass *pass);

/* What forward keeps, of the same pass->x, without pass->o. */
void mlp_keep_again(const Mlp *mlp, MlpKeep *keep, const Rows *rows, Pass *pass);

/* -> pass->x[rows,C], where the gradient at the input is needed (body.h). */
void mlp_backward(const Mlp *mlp, MlpKeep *keep, const Rows *rows, const BodyGrad *grad, Pass *pass);

#endif
