#include "worker/layers/mlp.h"

#include "worker/kernels/kernels.h"

bool mlp_plan(Mlp *mlp, bool below)
{
    mlp->needs_in = below;
    mlp->needs_pre = below || linear_is_trained(&mlp->up);
    return mlp->needs_pre || linear_is_trained(&mlp->down);
}

bool mlp_needs_input(const Mlp *mlp)
{
    return linear_needs_input(&mlp->up);
}

/* Width of the activation's input. */
static int64_t pre_width(const Mlp *mlp)
{
    return mlp->gated ? 2 * mlp->F : mlp->F;
}

void mlp_layout(Mlp *mlp, Layout *layout)
{
    linear_layout(&mlp->up, layout);
    linear_layout(&mlp->down, layout);
}

void mlp_keep_layout(MlpKeep *keep, const Mlp *mlp, Layout *layout, int64_t most_rows)
{
    linear_keep_layout(&keep->up, &mlp->up, layout, most_rows);
    linear_keep_layout(&keep->down, &mlp->down, layout, most_rows);
    keep->pre = layout_floats_if(layout, mlp->needs_pre || linear_needs_input(&mlp->down), most_rows * pre_width(mlp));
}

void mlp_measure(const Mlp *mlp, bool drops, PassSizes *sizes)
{
    linear_measure(&mlp->up, drops, sizes);
    linear_measure(&mlp->down, drops, sizes);
    if (mlp->gated && 2 * mlp->F > sizes->pre) /* a model that trains predicts, too: nothing is kept then */
        sizes->pre = 2 * mlp->F;
}

void mlp_bind(Mlp *mlp, const float *values)
{
    linear_bind(&mlp->up, values);
    linear_bind(&mlp->down, values);
}

/* pass->g, or the gradient at it, with its mask. */
static void drop_inside(const Mlp *mlp, const Rows *rows, Pass *pass)
{
    const Dropout dropout = pass_dropout(pass, mlp->layer, SITE_FF_INSIDE, mlp->dropout);
    if (dropout.p > 0)
        kernels->dropout_apply(pass->g, pass->g, rows, dropout, mlp->F);
}

/* pass->g = act(x Wup + b) */
static void activate(const Mlp *mlp, MlpKeep *keep, const Rows *rows, Pass *pass)
{
    const float *bias = linear_bias(&mlp->up);
    float *pre = keep->pre ? keep->pre : mlp->gated ? pass->pre : pass->g;
    linear_forward(&mlp->up, &keep->up, pre, pre_width(mlp), pass->x, rows, pass);
    if (mlp->gated)
        kernels->gated_act_forward(pass->g, pre, pre, bias, rows->N, mlp->F, mlp->act);
    else
        kernels->bias_act_forward(pass->g, keep->pre, pre, bias, rows->N, mlp->F, mlp->act);
    drop_inside(mlp, rows, pass);
}

void mlp_forward(const Mlp *mlp, MlpKeep *keep, const Rows *rows, Pass *pass)
{
    activate(mlp, keep, rows, pass);
    linear_forward(&mlp->down, &keep->down, pass->o, mlp->C, pass->g, rows, pass);
}

void mlp_keep_again(const Mlp *mlp, MlpKeep *keep, const Rows *rows, Pass *pass)
{
    activate(mlp, keep, rows, pass);
    linear_keep_again(&mlp->down, &keep->down, pass->o, pass->g, rows, pass);
}

/* The activation's output in pass->g, made again for the gradients of `down`. */
static const float *input_of_down(const Mlp *mlp, const MlpKeep *keep, const Rows *rows, Pass *pass)
{
    if (!linear_needs_input(&mlp->down))
        return NULL;
    if (mlp->gated)
        kernels->gated_act_forward(pass->g, keep->pre, keep->pre, NULL, rows->N, mlp->F, mlp->act);
    else
        kernels->bias_act_forward(pass->g, NULL, keep->pre, NULL, rows->N, mlp->F, mlp->act);
    drop_inside(mlp, rows, pass);
    return pass->g;
}

/* pass->g: gradient of the dropped output of the activation -> of its input (which it returns). */
static const float *activate_backward(const Mlp *mlp, MlpKeep *keep, const Rows *rows, Pass *pass)
{
    drop_inside(mlp, rows, pass);
    if (!mlp->gated) {
        kernels->act_backward(pass->g, pass->g, keep->pre, rows->N, mlp->F, mlp->act);
        return pass->g;
    }
    kernels->gated_act_backward(keep->pre, pass->g, keep->pre, rows->N, mlp->F, mlp->act);
    return keep->pre;
}

void mlp_backward(const Mlp *mlp, MlpKeep *keep, const Rows *rows, const BodyGrad *grad, Pass *pass)
{
    const LinearGrad down = {
        .dy = grad->dy,
        .ldy = mlp->C,
        .x = input_of_down(mlp, keep, rows, pass),
        .dx = mlp->needs_pre ? pass->g : NULL,
    };
    linear_backward(&mlp->down, &keep->down, &down, rows, pass);
    if (!mlp->needs_pre)
        return;
    const LinearGrad up = {
        .dy = activate_backward(mlp, keep, rows, pass),
        .ldy = pre_width(mlp),
        .x = mlp_needs_input(mlp) ? inlet_restore(&grad->input, pass->y, rows, pass) : NULL,
        .dx = mlp->needs_in ? pass->x : NULL,
        .beta = grad->beta,
    };
    linear_backward(&mlp->up, &keep->up, &up, rows, pass);
}
