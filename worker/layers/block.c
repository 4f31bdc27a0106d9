#include "worker/layers/block.h"

#include "worker/kernels/kernels.h"

void block_plan(Block *block, bool below)
{
    BlockNeeds *needs = &block->needs;
    needs->x = below;
    needs->qkv = needs->x || linear_is_trained(&block->qkv) || linear_is_trained(&block->q);
    needs->sum1 = needs->qkv || linear_is_trained(&block->attn_out);
    needs->y = needs->sum1 || module_is_trained(&block->norm1.module);
    needs->pre = needs->y || linear_is_trained(&block->ff_up);
    needs->sum2 = needs->pre || linear_is_trained(&block->ff_down);
    needs->out = needs->sum2 || module_is_trained(&block->norm2.module);
}

bool block_needs_input(const Block *block)
{
    return linear_needs_input(&block->qkv) || linear_needs_input(&block->q);
}

bool block_keeps_pre(const Block *block)
{
    return block->needs.pre || linear_needs_input(&block->ff_down);
}

/* Width of the activation's input. */
static int64_t pre_width(const Block *block)
{
    return block->gated ? 2 * block->F : block->F;
}

void block_layout(Block *block, Layout *layout, const PassSizes *sizes, bool training, bool above)
{
    const BlockNeeds *needs = &block->needs;
    const int64_t N = sizes->most_tokens;
    const int64_t M = block->tail ? sizes->most_read : N;
    linear_layout(&block->qkv, layout, N, training);
    linear_layout(&block->q, layout, M, training);
    linear_layout(&block->attn_out, layout, M, training);
    linear_layout(&block->ff_up, layout, M, training);
    linear_layout(&block->ff_down, layout, M, training);
    norm_layout(&block->norm1, layout, M, training && (needs->y || linear_needs_input(&block->ff_up)));
    norm_layout(&block->norm2, layout, M, training && (needs->out || above));
    block->kept_qkv = layout_floats_if(layout, training && needs->qkv, N * block->QKV);
    block->kept_att = layout_floats_if(layout, training && linear_needs_input(&block->attn_out), M * block->E);
    block->kept_lse = layout_floats_if(layout, training && needs->qkv, N * block->attention.H);
    block->kept_pre = layout_floats_if(layout, training && block_keeps_pre(block), M * pre_width(block));
}

void block_bind(Block *block, const float *values)
{
    linear_bind(&block->qkv, values);
    linear_bind(&block->q, values);
    linear_bind(&block->attn_out, values);
    linear_bind(&block->ff_up, values);
    linear_bind(&block->ff_down, values);
}

/* The rows behind the attention. */
static const Rows *rows_behind(const Block *block, const Pass *pass)
{
    return block->tail ? &pass->reads : &pass->rows;
}

static bool q_is_apart(const Block *block)
{
    return block->q.parts > 0;
}

/* The buffer to keep it in, when backward follows and it was planned; else a passing one. */
static float *kept_or(const Pass *pass, float *kept, float *passing)
{
    return pass->grad && kept ? kept : passing;
}

static AttentionShape attention_shape(const Block *block, const Pass *pass)
{
    AttentionShape shape = block->attention;
    shape.q_first = block->tail ? pass->read_first : NULL;
    shape.q_end = block->tail ? pass->read_end : NULL;
    return shape;
}

static Dropout attention_dropout(const Block *block, Pass *pass)
{
    return pass_dropout(pass, block->layer, SITE_ATTENTION, block->attention_dropout);
}

/* ---- forward --------------------------------------------------------------- */

/* q of the read rows alone, [M,E] -> their rows of qkv. */
static void project_apart(Block *block, float *qkv, Pass *pass)
{
    const int64_t C = block->C, E = block->E;
    float *q = pass->row_b;
    pass_gather(pass, pass->row_a, pass->x, C, C);
    linear_forward(&block->q, q, E, pass->row_a, &pass->reads, pass);
    linear_add_bias(&block->q, q, E, pass->reads.N);
    pass_scatter(pass, qkv, block->QKV, q, E);
}

/* qkv[N,QKV] from pass->x, turned by their places. */
static void project(Block *block, float *qkv, Pass *pass)
{
    const AttentionShape *shape = &block->attention;
    float *to = q_is_apart(block) ? qkv + block->E : qkv;
    linear_forward(&block->qkv, to, block->QKV, pass->x, &pass->rows, pass);
    linear_add_bias(&block->qkv, to, block->QKV, pass->rows.N);
    if (q_is_apart(block))
        project_apart(block, qkv, pass);
    rope_turn(&pass->rope, qkv, block->QKV, shape->H + shape->K, &pass->rows, false);
}

/* y = norm(dropout(x + the linear's bias) + residual); the sum goes on when pre_norm. */
static void join(const Block *block, Norm *norm, float *y, const float *x, const Linear *linear, const float *residual,
                 Pass *pass)
{
    const Site site = norm == &block->norm1 ? SITE_ATTN_OUT : SITE_FF;
    const NormInput input = {
        .x = x,
        .bias = linear_bias(linear),
        .residual = residual,
        .dropout = pass_dropout(pass, block->layer, site, block->hidden_dropout),
        .sum = block->pre_norm ? pass->r : NULL,
    };
    norm_apply(norm, y, &input, rows_behind(block, pass), pass);
}

/* The rows that the attention's output is added to. */
static const float *residual_of(const Block *block, Pass *pass)
{
    const float *all = block->pre_norm ? pass->r : pass->x;
    if (!block->tail)
        return all;
    pass_gather(pass, pass->row_a, all, block->C, block->C);
    return pass->row_a;
}

/* pass->x -> pass->y */
static void attention_half_forward(Block *block, Pass *pass)
{
    const int64_t E = block->E;
    const AttentionShape shape = attention_shape(block, pass);
    float *qkv = kept_or(pass, block->kept_qkv, pass->g);
    project(block, qkv, pass);

    float *att = kept_or(pass, block->kept_att, block->tail ? pass->row_b : pass->y);
    float *full = block->tail ? pass->o : att;
    kernels->attention_forward(full, kept_or(pass, block->kept_lse, pass->lse), qkv, &pass->rows, &shape,
                               attention_dropout(block, pass), pass->attention);
    if (block->tail)
        pass_gather(pass, att, full, E, E);
    linear_forward(&block->attn_out, pass->o, block->C, att, rows_behind(block, pass), pass);
    join(block, &block->norm1, pass->y, pass->o, &block->attn_out, residual_of(block, pass), pass);
}

/* pass->g[M,F] = the activation of pass->y's projection. */
static void activate(Block *block, Pass *pass)
{
    const Rows *rows = rows_behind(block, pass);
    const float *bias = linear_bias(&block->ff_up);
    float *kept = kept_or(pass, block->kept_pre, NULL);
    float *pre = kept ? kept : block->gated ? pass->pre : pass->g;
    linear_forward(&block->ff_up, pre, pre_width(block), pass->y, rows, pass);
    if (block->gated)
        kernels->gated_act_forward(pass->g, pre, pre, bias, rows->N, block->F, block->act);
    else
        kernels->bias_act_forward(pass->g, kept, pre, bias, rows->N, block->F, block->act);
}

/* pass->y -> pass->x */
static void ff_half_forward(Block *block, Pass *pass)
{
    activate(block, pass);
    linear_forward(&block->ff_down, pass->o, block->C, pass->g, rows_behind(block, pass), pass);
    join(block, &block->norm2, pass->x, pass->o, &block->ff_down, block->pre_norm ? pass->r : pass->y, pass);
}

void block_forward(Block *block, Pass *pass)
{
    attention_half_forward(block, pass);
    ff_half_forward(block, pass);
}

/* ---- backward -------------------------------------------------------------- */

/* Where the gradient at a sum stands: the residual's too. */
static float *stream(const Block *block, const Pass *pass)
{
    return block->pre_norm ? pass->r : pass->x;
}

/* pass->x, the gradient at the norm's output -> the gradient at its sum, in stream(). */
static void norm_of_block_backward(Block *block, Norm *norm, Pass *pass)
{
    const bool first = block->tail && norm == &block->norm2; /* nothing else reads that sum */
    norm_pull(norm, stream(block, pass), pass->x, block->pre_norm && !first ? pass->r : NULL, rows_behind(block, pass),
              pass);
}

/* The gradient before a sublayer's dropout: the stream itself where nothing is dropped. */
static const float *undrop(const Block *block, Site site, Pass *pass)
{
    const Dropout dropout = pass_dropout(pass, block->layer, site, block->hidden_dropout);
    if (dropout.p <= 0)
        return stream(block, pass);
    kernels->dropout_apply(pass->y, stream(block, pass), rows_behind(block, pass), dropout, block->C);
    return pass->y;
}

/* The activation's output, made again for the gradients of ff_down. */
static const float *input_of_ff_down(const Block *block, Pass *pass)
{
    if (!linear_needs_input(&block->ff_down))
        return NULL;
    const int64_t N = rows_behind(block, pass)->N;
    if (block->gated)
        kernels->gated_act_forward(pass->g, block->kept_pre, block->kept_pre, NULL, N, block->F, block->act);
    else
        kernels->bias_act_forward(pass->g, NULL, block->kept_pre, NULL, N, block->F, block->act);
    return pass->g;
}

static const float *input_of_ff_up(const Block *block, Pass *pass)
{
    if (!linear_needs_input(&block->ff_up))
        return NULL;
    norm_restore(&block->norm1, pass->y, rows_behind(block, pass), pass);
    return pass->y;
}

static const float *input_of_block(const Block *block, Pass *pass)
{
    if (!block_needs_input(block))
        return NULL;
    if (block->before)
        norm_restore(&block->before->norm2, pass->y, &pass->rows, pass);
    else
        embedding_restore(block->embedding, pass->y, pass);
    return pass->y;
}

/* pass->g: gradient of the activation's output -> of its input (which returns it). */
static const float *activate_backward(Block *block, Pass *pass)
{
    const int64_t N = rows_behind(block, pass)->N;
    if (!block->gated) {
        kernels->act_backward(pass->g, pass->g, block->kept_pre, N, block->F, block->act);
        return pass->g;
    }
    kernels->gated_act_backward(block->kept_pre, pass->g, block->kept_pre, N, block->F, block->act);
    return block->kept_pre;
}

/* pass->x: gradient at the block's output -> at norm1's output. */
static void ff_half_backward(Block *block, Pass *pass)
{
    const BlockNeeds *needs = &block->needs;
    const Rows *rows = rows_behind(block, pass);
    norm_of_block_backward(block, &block->norm2, pass);
    if (!needs->sum2)
        return;
    const LinearGrad down = {
        .dy = undrop(block, SITE_FF, pass),
        .ldy = block->C,
        .x = input_of_ff_down(block, pass),
        .dx = needs->pre ? pass->g : NULL,
    };
    linear_backward(&block->ff_down, &down, rows, pass);
    if (!needs->pre)
        return;
    const LinearGrad up = {
        .dy = activate_backward(block, pass),
        .ldy = pre_width(block),
        .x = input_of_ff_up(block, pass),
        .dx = needs->y ? pass->x : NULL, /* which holds the residual's when post-norm */
        .beta = block->pre_norm ? 0 : 1,
    };
    linear_backward(&block->ff_up, &up, rows, pass);
}

static void exchange(float **a, float **b)
{
    float *held = *a;
    *a = *b;
    *b = held;
}

/* dq of the read rows, gathered from pass->g; their part of the input's gradient goes to pass->x[M,C]. */
static void project_apart_backward(Block *block, const float *x, Pass *pass)
{
    const int64_t C = block->C, E = block->E;
    pass_gather(pass, pass->row_a, pass->g, block->QKV, E);
    if (x)
        pass_gather(pass, pass->row_b, x, C, C);
    const LinearGrad q = {
        .dy = pass->row_a,
        .ldy = E,
        .x = x ? pass->row_b : NULL,
        .dx = block->needs.x ? pass->x : NULL,
        .beta = block->pre_norm ? 0 : 1,
    };
    linear_backward(&block->q, &q, &pass->reads, pass);
}

/* In a tail pass->x and the stream hold the read rows only: all rows' gradient is made in
 * pass->o, and they come to it. */
static void project_tail_backward(Block *block, Pass *pass)
{
    const int64_t C = block->C;
    const bool apart = q_is_apart(block);
    const float *x = input_of_block(block, pass);
    float *dx = block->needs.x ? pass->o : NULL;
    const LinearGrad grad = { .dy = apart ? pass->g + block->E : pass->g, .ldy = block->QKV, .x = x, .dx = dx };
    linear_backward(&block->qkv, &grad, &pass->rows, pass);
    if (apart)
        project_apart_backward(block, x, pass);
    if (!dx)
        return;
    if (apart || !block->pre_norm)
        pass_scatter_add(pass, dx, C, pass->x, C);
    exchange(&pass->x, &pass->o);
    if (block->pre_norm) {
        pass_spread(pass, pass->y, pass->r, C);
        exchange(&pass->r, &pass->y);
    }
}

/* dqkv in pass->g (and, post-norm, the residual's gradient in pass->x) -> pass->x. */
static void project_backward(Block *block, Pass *pass)
{
    const LinearGrad grad = {
        .dy = pass->g,
        .ldy = block->QKV,
        .x = input_of_block(block, pass),
        .dx = block->needs.x ? pass->x : NULL,
        .beta = block->pre_norm ? 0 : 1,
    };
    linear_backward(&block->qkv, &grad, &pass->rows, pass);
}

/* Gradient of attention's output in `datt` -> dqkv in pass->g. Only read rows exist in a tail. */
static void attention_of_block_backward(Block *block, const float *datt, Pass *pass)
{
    const AttentionShape shape = attention_shape(block, pass);
    const float *dout = datt;
    if (block->tail) {
        pass_scatter(pass, pass->o, block->E, datt, block->E);
        dout = pass->o;
    }
    kernels->attention_backward(pass->g, dout, block->kept_lse, block->kept_qkv, &pass->rows, &shape,
                                attention_dropout(block, pass), pass->attention);
    rope_turn(&pass->rope, pass->g, block->QKV, shape.H + shape.K, &pass->rows, true);
}

/* pass->x: gradient at norm1's output -> at the block's input. */
static void attention_half_backward(Block *block, Pass *pass)
{
    const BlockNeeds *needs = &block->needs;
    norm_of_block_backward(block, &block->norm1, pass);
    if (!needs->sum1)
        return;
    float *datt = block->tail ? pass->row_b : pass->o;
    const LinearGrad out = {
        .dy = undrop(block, SITE_ATTN_OUT, pass),
        .ldy = block->C,
        .x = linear_needs_input(&block->attn_out) ? block->kept_att : NULL,
        .dx = needs->qkv ? datt : NULL,
    };
    linear_backward(&block->attn_out, &out, rows_behind(block, pass), pass);
    if (!needs->qkv)
        return;
    attention_of_block_backward(block, datt, pass);
    if (block->tail)
        project_tail_backward(block, pass);
    else
        project_backward(block, pass);
}

void block_backward(Block *block, Pass *pass)
{
    REQUIRE(block->needs.out);
    ff_half_backward(block, pass);
    if (block->needs.y)
        attention_half_backward(block, pass);
}
