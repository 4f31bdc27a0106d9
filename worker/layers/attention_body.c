#include "worker/layers/attention_body.h"

#include "worker/kernels/kernels.h"
#include "worker/layers/head_norm.h"
#include "worker/layers/lanes.h"

static bool has_norms(const Attention *attention)
{
    return norm_is_there(&attention->q_norm);
}

/* Heads of q, or of k, as their norm sees them: one, where it is of all together. */
static int64_t normed_q(const Attention *attention)
{
    return attention->E / attention->q_norm.C;
}
static int64_t normed_k(const Attention *attention)
{
    return attention->shape.K * attention->shape.D / attention->k_norm.C;
}

/* What distances are projected by. */
static DistanceLinears distance_linears(const Attention *attention)
{
    DistanceLinears by = { .keys = attention->distance_k, .queries = attention->distance_q };
    if (attention->distances->has_keys && by.keys.parts == 0)
        by.keys = linear_slice(&attention->qkv, 1, 1);
    if (attention->distances->has_queries && by.queries.parts == 0)
        by.queries = linear_slice(&attention->qkv, 0, 1);
    return by;
}

static bool is_biased(const Attention *attention)
{
    return attention->q_bias.out > 0;
}

/* What makes q, k, v besides their product. */
static bool scores_are_trained(const Attention *attention)
{
    return attention->trains_added ||
           (has_norms(attention) &&
            (module_is_trained(&attention->q_norm.module) || module_is_trained(&attention->k_norm.module))) ||
           (attention->distances && attention->distances->is_trained) || linear_is_trained(&attention->distance_k) ||
           linear_is_trained(&attention->distance_q) || module_is_trained(&attention->q_bias) ||
           module_is_trained(&attention->v_bias);
}

bool attention_body_plan(Attention *attention, bool below)
{
    attention->needs_in = below;
    attention->needs_qkv = below || linear_is_trained(&attention->qkv) || scores_are_trained(attention);
    return attention->needs_qkv || linear_is_trained(&attention->out);
}

bool attention_body_needs_input(const Attention *attention)
{
    return linear_needs_input(&attention->qkv);
}

/* In a tail where q is a module, it is made of fewer rows than k and v. */
static bool has_fewer_q(const Attention *attention, bool tail)
{
    return tail && attention->qkv.parts > 1;
}

static Linear only_q(const Attention *attention)
{
    return linear_slice(&attention->qkv, 0, 1);
}

/* What is made of all rows. */
static Linear of_all_rows(const Attention *attention, bool tail)
{
    return has_fewer_q(attention, tail) ? linear_slice(&attention->qkv, 1, 2) : attention->qkv;
}

void attention_body_layout(Attention *attention, Layout *layout)
{
    linear_layout(&attention->qkv, layout);
    linear_layout(&attention->out, layout);
    linear_layout(&attention->distance_k, layout);
    linear_layout(&attention->distance_q, layout);
    norm_layout(&attention->q_norm, layout);
    norm_layout(&attention->k_norm, layout);
}

void attention_body_keep_layout(AttentionKeep *keep, const Attention *attention, Layout *layout, const PassSizes *sizes,
                                bool tail)
{
    const int64_t N = sizes->most_tokens, M = tail ? sizes->most_read : N;
    const Linear all = of_all_rows(attention, tail), q = only_q(attention);
    linear_keep_layout(&keep->qkv, &all, layout, N);
    if (has_fewer_q(attention, tail))
        linear_keep_layout(&keep->q, &q, layout, M);
    linear_keep_layout(&keep->out, &attention->out, layout, M);
    if (has_norms(attention) && attention->needs_qkv) {
        const int64_t rows = has_fewer_q(attention, tail) ? M : N;
        head_norm_keep_layout(&keep->q_norm, &attention->q_norm, layout, rows, normed_q(attention));
        head_norm_keep_layout(&keep->k_norm, &attention->k_norm, layout, N, normed_k(attention));
    }
    if (attention->distances && attention->needs_qkv) {
        const DistanceLinears by = distance_linears(attention);
        distances_keep_layout(&keep->distances, attention->distances, &by, layout);
    }
    keep->rows = layout_floats_if(layout, attention->needs_qkv, N * attention->QKV);
    keep->att = layout_floats_if(layout, linear_needs_input(&attention->out), M * attention->E);
    keep->lse = layout_floats_if(layout, attention->needs_qkv, N * attention->shape.H);
}

void attention_body_measure(const Attention *attention, bool drops, int threads, PassSizes *sizes)
{
    AttentionShape shape = attention->shape;
    AttentionDistances distances = { .count = attention->distances ? attention->distances->count : 0 };
    shape.distances = attention->distances ? &distances : NULL;
    const size_t scratch = (size_t)kernels->attention_scratch(&shape, sizes->longest, threads);
    linear_measure(&attention->qkv, drops, sizes);
    linear_measure(&attention->out, drops, sizes);
    linear_measure(&attention->distance_k, drops, sizes);
    linear_measure(&attention->distance_q, drops, sizes);
    sizes->attention = scratch > sizes->attention ? scratch : sizes->attention;
}

void attention_body_bind(Attention *attention, const float *values)
{
    linear_bind(&attention->qkv, values);
    linear_bind(&attention->out, values);
    linear_bind(&attention->distance_k, values);
    linear_bind(&attention->distance_q, values);
    norm_bind(&attention->q_norm, values);
    norm_bind(&attention->k_norm, values);
}

static AttentionShape shape_of(const Attention *attention, bool tail, const Pass *pass)
{
    AttentionShape shape = attention->shape;
    shape.q_first = tail ? pass->read_first : NULL;
    shape.q_end = tail ? pass->read_end : NULL;
    shape.k_end = pass->real;
    shape.added = pass->added[attention->added_set];
    shape.ldadded = pass->added_width;
    shape.by_distance = pass->by_distance;
    shape.origin = pass->longest - 1;
    return shape;
}

static Dropout weights_dropout(const Attention *attention, Pass *pass)
{
    return pass_dropout(pass, attention->layer, SITE_ATTENTION, attention->dropout);
}

/* ---- forward --------------------------------------------------------------- */

/* q of the read rows alone, [M,E] -> their rows of qkv. */
static void project_q(const Attention *attention, AttentionKeep *keep, float *qkv, Pass *pass)
{
    const Linear linear = only_q(attention);
    const int64_t C = attention->C, E = attention->E;
    float *q = pass->row_b;
    pass_gather(pass, pass->row_a, pass->x, C, C);
    linear_forward(&linear, &keep->q, q, E, pass->row_a, &pass->reads, pass);
    linear_add_bias(&linear, q, E, pass->reads.N);
    if (has_norms(attention))
        head_norm_forward(&attention->q_norm, &keep->q_norm, q, E, normed_q(attention), pass->reads.N, pass);
    pass_scatter(pass, qkv, attention->QKV, q, E);
}

/* Biases of q and of v alone, each head's to its place in the fused rows. */
static void add_own_biases(const Attention *attention, float *qkv, const Pass *pass)
{
    const AttentionShape *shape = &attention->shape;
    if (!is_biased(attention))
        return;
    const float *q = module_floats(&attention->q_bias, pass->values);
    const float *v = module_floats(&attention->v_bias, pass->values);
    for (int64_t n = 0; n < pass->rows.N; n++)
        for (int64_t i = 0; i < attention->E; i++) {
            const int64_t h = i / shape->D, d = i % shape->D;
            qkv[n * attention->QKV + attention_q_at(shape, h) + d] += q[i];
            qkv[n * attention->QKV + attention_v_at(shape, h) + d] += v[i];
        }
}

/* Their gradients, from dqkv. */
static void pull_own_biases(const Attention *attention, const float *dqkv, const Pass *pass)
{
    const AttentionShape *shape = &attention->shape;
    float *dq = module_grad(pass->grad, attention->q_bias.weight_at);
    float *dv = module_grad(pass->grad, attention->v_bias.weight_at);
    for (int64_t h = 0; is_biased(attention) && h < shape->H; h++) {
        if (dq)
            kernels->bias_backward(dq + h * shape->D, dqkv + attention_q_at(shape, h), attention->QKV, pass->rows.N,
                                   shape->D);
        if (dv)
            kernels->bias_backward(dv + h * shape->D, dqkv + attention_v_at(shape, h), attention->QKV, pass->rows.N,
                                   shape->D);
    }
}

/* qkv[N,QKV] from pass->x. */
static void project(const Attention *attention, AttentionKeep *keep, bool tail, float *qkv, Pass *pass)
{
    const bool fewer_q = has_fewer_q(attention, tail);
    const Linear linear = of_all_rows(attention, tail);
    float *to = fewer_q ? qkv + attention->E : qkv;
    linear_forward(&linear, &keep->qkv, to, attention->QKV, pass->x, &pass->rows, pass);
    linear_add_bias(&linear, to, attention->QKV, pass->rows.N);
    add_own_biases(attention, qkv, pass);
    if (has_norms(attention)) {
        head_norm_forward(&attention->k_norm, &keep->k_norm, qkv + attention->E, attention->QKV, normed_k(attention),
                          pass->rows.N, pass);
        if (!fewer_q)
            head_norm_forward(&attention->q_norm, &keep->q_norm, qkv, attention->QKV, normed_q(attention), pass->rows.N,
                              pass);
    }
    if (fewer_q)
        project_q(attention, keep, qkv, pass);
}

/* What turns q and k; NULL: they stand. */
static Rope *rope_of(const Attention *attention, Pass *pass)
{
    return attention->rope_set >= 0 ? &pass->ropes[attention->rope_set] : NULL;
}

/* att[N,E] of qkv[N,QKV], whose q and k are turned by their places. */
static void attend(const Attention *attention, AttentionKeep *keep, bool tail, float *att, float *qkv, Pass *pass)
{
    AttentionShape shape = shape_of(attention, tail, pass);
    AttentionDistances distances;
    if (attention->distances) {
        const DistanceLinears by = distance_linears(attention);
        distances = distances_project(attention->distances, &by, &keep->distances, attention->layer, pass);
        shape.distances = &distances;
    }
    if (pass->lanes) {
        lanes_attend(pass->lanes, attention->layer, att, qkv, &shape, rope_of(attention, pass), pass);
        return;
    }
    if (rope_of(attention, pass))
        rope_turn(rope_of(attention, pass), qkv, &shape, &pass->rows, pass->batch_longest, false);
    kernels->attention_forward(att, keep->lse ? keep->lse : pass->lse, qkv, &pass->rows, &shape,
                               weights_dropout(attention, pass), pass->attention);
}

void attention_body_forward(const Attention *attention, AttentionKeep *keep, bool tail, Pass *pass)
{
    const int64_t E = attention->E;
    float *qkv = keep->rows ? keep->rows : pass->g;
    project(attention, keep, tail, qkv, pass);

    float *att = keep->att ? keep->att : tail ? pass->row_b : pass->y;
    float *full = tail ? pass->o : att;
    attend(attention, keep, tail, full, qkv, pass);
    if (tail)
        pass_gather(pass, att, full, E, E);
    linear_forward(&attention->out, &keep->out, pass->o, attention->C, att, tail ? &pass->reads : &pass->rows, pass);
}

/* ---- backward -------------------------------------------------------------- */

/* Gradient of attention's output in `datt` -> dqkv in pass->g. Only read rows exist in a tail. */
static void attend_backward(const Attention *attention, const AttentionKeep *keep, bool tail, const float *datt,
                            Pass *pass)
{
    AttentionShape shape = shape_of(attention, tail, pass);
    AttentionDistances distances;
    shape.dadded = pass->dadded;
    if (attention->distances) {
        distances = distances_begin_backward(attention->distances, &keep->distances);
        shape.distances = &distances;
    }
    const float *dout = datt;
    if (tail) {
        pass_scatter(pass, pass->o, attention->E, datt, attention->E);
        dout = pass->o;
    }
    kernels->attention_backward(pass->g, dout, keep->lse, keep->rows, &pass->rows, &shape,
                                weights_dropout(attention, pass), pass->attention);
    if (rope_of(attention, pass))
        rope_turn(rope_of(attention, pass), pass->g, &shape, &pass->rows, pass->batch_longest, true);
    pull_own_biases(attention, pass->g, pass);
    if (!has_norms(attention))
        return;
    head_norm_backward(&attention->k_norm, &keep->k_norm, pass->g + attention->E, attention->QKV, normed_k(attention),
                       pass->rows.N, pass);
    if (!has_fewer_q(attention, tail))
        head_norm_backward(&attention->q_norm, &keep->q_norm, pass->g, attention->QKV, normed_q(attention),
                           pass->rows.N, pass);
}

/* dq of the read rows, gathered from pass->g; their part of the input's gradient goes to pass->x[M,C]. */
static void project_q_backward(const Attention *attention, const AttentionKeep *keep, const float *x, float beta,
                               Pass *pass)
{
    const Linear linear = only_q(attention);
    const int64_t C = attention->C, E = attention->E;
    pass_gather(pass, pass->row_a, pass->g, attention->QKV, E);
    if (has_norms(attention))
        head_norm_backward(&attention->q_norm, &keep->q_norm, pass->row_a, E, normed_q(attention), pass->reads.N, pass);
    if (x)
        pass_gather(pass, pass->row_b, x, C, C);
    const LinearGrad q = {
        .dy = pass->row_a,
        .ldy = E,
        .x = x ? pass->row_b : NULL,
        .dx = attention->needs_in ? pass->x : NULL,
        .beta = beta,
    };
    linear_backward(&linear, &keep->q, &q, &pass->reads, pass);
}

/* In a tail pass->x holds the read rows only: all rows' gradient is made in pass->o, and they come to it. */
static void project_tail_backward(const Attention *attention, const AttentionKeep *keep, const float *x, float beta,
                                  Pass *pass)
{
    const bool fewer_q = has_fewer_q(attention, true);
    const Linear linear = of_all_rows(attention, true);
    float *dx = attention->needs_in ? pass->o : NULL;
    const LinearGrad grad = {
        .dy = fewer_q ? pass->g + attention->E : pass->g, .ldy = attention->QKV, .x = x, .dx = dx
    };
    linear_backward(&linear, &keep->qkv, &grad, &pass->rows, pass);
    if (fewer_q)
        project_q_backward(attention, keep, x, beta, pass);
    if (!dx)
        return;
    if (fewer_q || beta > 0)
        pass_scatter_add(pass, dx, attention->C, pass->x, attention->C);
    pass_exchange(&pass->x, &pass->o);
}

void attention_body_backward(const Attention *attention, const AttentionKeep *keep, bool tail, const BodyGrad *grad,
                             Pass *pass)
{
    float *datt = tail ? pass->row_b : pass->o;
    const LinearGrad out = {
        .dy = grad->dy,
        .ldy = attention->C,
        .x = linear_needs_input(&attention->out) ? keep->att : NULL,
        .dx = attention->needs_qkv ? datt : NULL,
    };
    linear_backward(&attention->out, &keep->out, &out, tail ? &pass->reads : &pass->rows, pass);
    if (!attention->needs_qkv)
        return;
    attend_backward(attention, keep, tail, datt, pass);
    if (attention->distances) {
        const DistanceLinears by = distance_linears(attention);
        distances_pull(attention->distances, &by, &keep->distances, attention->layer, pass);
    }
    const float *x =
        attention_body_needs_input(attention) ? inlet_restore(&grad->input, pass->y, &pass->rows, pass) : NULL;
    if (tail) {
        project_tail_backward(attention, keep, x, grad->beta, pass);
        return;
    }
    const LinearGrad qkv = {
        .dy = pass->g,
        .ldy = attention->QKV,
        .x = x,
        .dx = attention->needs_in ? pass->x : NULL,
        .beta = grad->beta,
    };
    linear_backward(&attention->qkv, &keep->qkv, &qkv, &pass->rows, pass);
}
