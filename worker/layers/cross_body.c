#include "worker/layers/cross_body.h"

#include "worker/kernels/kernels.h"
#include "worker/layers/lanes.h"

bool cross_body_plan(Cross *cross, bool in)
{
    cross->needs_in = in;
    cross->needs_q = in || linear_is_trained(&cross->q);
    cross->needs_kv = cross->below || linear_is_trained(&cross->kv);
    return cross->needs_q || cross->needs_kv || linear_is_trained(&cross->out);
}

/* A gradient goes on behind attention. */
static bool needs_scores(const Cross *cross)
{
    return cross->needs_q || cross->needs_kv;
}

bool cross_body_needs_input(const Cross *cross)
{
    return linear_needs_input(&cross->q);
}

void cross_body_layout(Cross *cross, Layout *layout)
{
    linear_layout(&cross->q, layout);
    linear_layout(&cross->kv, layout);
    linear_layout(&cross->out, layout);
}

void cross_body_keep_layout(CrossKeep *keep, const Cross *cross, Layout *layout, const PassSizes *sizes,
                            int64_t most_rows)
{
    const bool scores = needs_scores(cross);
    linear_keep_layout(&keep->q, &cross->q, layout, most_rows);
    linear_keep_layout(&keep->kv, &cross->kv, layout, sizes->most_tokens);
    linear_keep_layout(&keep->out, &cross->out, layout, most_rows);
    keep->q_rows = layout_floats_if(layout, scores, most_rows * cross->E);
    keep->kv_rows = layout_floats_if(layout, scores, sizes->most_tokens * cross->KV);
    keep->att = layout_floats_if(layout, linear_needs_input(&cross->out), most_rows * cross->E);
    keep->lse = layout_floats_if(layout, scores, most_rows * cross->shape.H);
}

/* pass->g holds q and k|v: of one sequence's rows together never more than most_tokens (PassSizes.wide). */
void cross_body_measure(const Cross *cross, bool drops, int threads, PassSizes *sizes)
{
    const size_t scratch = (size_t)kernels->attention_scratch(&cross->shape, sizes->longest, threads);
    linear_measure(&cross->q, drops, sizes);
    linear_measure(&cross->kv, drops, sizes);
    linear_measure(&cross->out, drops, sizes);
    sizes->attention = scratch > sizes->attention ? scratch : sizes->attention;
    sizes->wide = sizes->wide > cross->KV ? sizes->wide : cross->KV;
    sizes->wide = sizes->wide > cross->E ? sizes->wide : cross->E;
}

void cross_body_bind(Cross *cross, const float *values)
{
    linear_bind(&cross->q, values);
    linear_bind(&cross->kv, values);
    linear_bind(&cross->out, values);
}

static Dropout weights_dropout(const Cross *cross, Pass *pass)
{
    return pass_dropout(pass, cross->layer, SITE_CROSS, cross->dropout);
}

static AttentionShape shape_of(const Cross *cross, const float *kv, float *dkv, const Pass *pass)
{
    AttentionShape shape = cross->shape;
    shape.kv = kv;
    shape.dkv = dkv;
    shape.keys = &pass->memory_rows;
    return shape;
}

/* ---- forward --------------------------------------------------------------- */

void cross_body_read(const Cross *cross, LinearKeep *keep, float *kv, Pass *pass)
{
    const Rows *rows = &pass->memory_rows;
    linear_forward(&cross->kv, keep, kv, cross->KV, pass->memory, rows, pass);
    linear_add_bias(&cross->kv, kv, cross->KV, rows->N);
}

static void attend(const Cross *cross, CrossKeep *keep, const Rows *rows, float *att, const float *q, Pass *pass)
{
    if (pass->lanes) {
        lanes_attend_sources(pass->lanes, cross->layer, att, q, &cross->shape, rows);
        return;
    }
    float *kv = keep->kv_rows ? keep->kv_rows : pass->g + rows->N * cross->E;
    cross_body_read(cross, &keep->kv, kv, pass);
    const AttentionShape shape = shape_of(cross, kv, NULL, pass);
    kernels->attention_forward(att, keep->lse ? keep->lse : pass->lse, q, rows, &shape, weights_dropout(cross, pass),
                               pass->attention);
}

void cross_body_forward(const Cross *cross, CrossKeep *keep, const Rows *rows, Pass *pass)
{
    const int64_t E = cross->E;
    float *q = keep->q_rows ? keep->q_rows : pass->g, *att = keep->att ? keep->att : pass->y;
    linear_forward(&cross->q, &keep->q, q, E, pass->x, rows, pass);
    linear_add_bias(&cross->q, q, E, rows->N);
    attend(cross, keep, rows, att, q, pass);
    linear_forward(&cross->out, &keep->out, pass->o, cross->C, att, rows, pass);
}

/* ---- backward -------------------------------------------------------------- */

static void read_backward(const Cross *cross, const CrossKeep *keep, const float *dkv, Pass *pass)
{
    const LinearGrad kv = {
        .dy = dkv,
        .ldy = cross->KV,
        .x = linear_needs_input(&cross->kv) ? pass->memory : NULL,
        .dx = cross->below ? pass->dmemory : NULL,
        .beta = 1,
    };
    linear_backward(&cross->kv, &keep->kv, &kv, &pass->memory_rows, pass);
}

void cross_body_backward(const Cross *cross, const CrossKeep *keep, const Rows *rows, const BodyGrad *grad, Pass *pass)
{
    const LinearGrad out = {
        .dy = grad->dy,
        .ldy = cross->C,
        .x = linear_needs_input(&cross->out) ? keep->att : NULL,
        .dx = needs_scores(cross) ? pass->o : NULL,
    };
    linear_backward(&cross->out, &keep->out, &out, rows, pass);
    if (!needs_scores(cross))
        return;
    float *dq = pass->g, *dkv = pass->g + rows->N * cross->E;
    const AttentionShape shape = shape_of(cross, keep->kv_rows, dkv, pass);
    kernels->attention_backward(dq, pass->o, keep->lse, keep->q_rows, rows, &shape, weights_dropout(cross, pass),
                                pass->attention);
    if (cross->needs_kv)
        read_backward(cross, keep, dkv, pass);
    if (!cross->needs_q)
        return;
    const LinearGrad q = {
        .dy = dq,
        .ldy = cross->E,
        .x = cross_body_needs_input(cross) ? inlet_restore(&grad->input, pass->y, rows, pass) : NULL,
        .dx = cross->needs_in ? pass->x : NULL,
        .beta = grad->beta,
    };
    linear_backward(&cross->q, &keep->q, &q, rows, pass);
}
