#include "worker/layers/block.h"

#include "worker/kernels/kernels.h"
#include "worker/layers/lanes.h"

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

void block_layout(Block *block, Layout *layout)
{
    linear_layout(&block->qkv, layout);
    linear_layout(&block->q, layout);
    linear_layout(&block->attn_out, layout);
    linear_layout(&block->ff_up, layout);
    linear_layout(&block->ff_down, layout);
}

void block_keep_layout(BlockKeep *keep, const Block *block, Layout *layout, const PassSizes *sizes, bool above)
{
    const BlockNeeds *needs = &block->needs;
    const int64_t N = sizes->most_tokens;
    const int64_t M = block->tail ? sizes->most_read : N;
    linear_keep_layout(&keep->in, &block->qkv, layout, N);
    linear_keep_layout(&keep->q, &block->q, layout, M);
    linear_keep_layout(&keep->attn_out, &block->attn_out, layout, M);
    linear_keep_layout(&keep->ff_up, &block->ff_up, layout, M);
    linear_keep_layout(&keep->ff_down, &block->ff_down, layout, M);
    if (needs->y || linear_needs_input(&block->ff_up))
        norm_keep_layout(&keep->norm1, &block->norm1, layout, M);
    if (needs->out || above)
        norm_keep_layout(&keep->norm2, &block->norm2, layout, M);
    keep->qkv = layout_floats_if(layout, needs->qkv, N * block->QKV);
    keep->att = layout_floats_if(layout, linear_needs_input(&block->attn_out), M * block->E);
    keep->lse = layout_floats_if(layout, needs->qkv, N * block->attention.H);
    keep->pre = layout_floats_if(layout, block_keeps_pre(block), M * pre_width(block));
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

/* The buffer to keep it in, where it was planned; else a passing one. */
static float *kept_or(float *kept, float *passing)
{
    return kept ? kept : passing;
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
static void project_apart(const Block *block, BlockKeep *keep, float *qkv, Pass *pass)
{
    const int64_t C = block->C, E = block->E;
    float *q = pass->row_b;
    pass_gather(pass, pass->row_a, pass->x, C, C);
    linear_forward(&block->q, &keep->q, q, E, pass->row_a, &pass->reads, pass);
    linear_add_bias(&block->q, q, E, pass->reads.N);
    pass_scatter(pass, qkv, block->QKV, q, E);
}

/* qkv[N,QKV] from pass->x. */
static void project(const Block *block, BlockKeep *keep, float *qkv, Pass *pass)
{
    float *to = q_is_apart(block) ? qkv + block->E : qkv;
    linear_forward(&block->qkv, &keep->in, to, block->QKV, pass->x, &pass->rows, pass);
    linear_add_bias(&block->qkv, to, block->QKV, pass->rows.N);
    if (q_is_apart(block))
        project_apart(block, keep, qkv, pass);
}

/* att[N,E] of qkv[N,QKV], whose q and k are turned by their places. */
static void attend(const Block *block, BlockKeep *keep, float *att, float *qkv, Pass *pass)
{
    const AttentionShape shape = attention_shape(block, pass);
    if (pass->lanes && lanes_go_on(pass->lanes)) {
        lanes_attend(pass->lanes, block->layer, att, qkv, &shape, pass);
        return;
    }
    rope_turn(&pass->rope, qkv, block->QKV, shape.H + shape.K, &pass->rows, false);
    if (pass->lanes)
        lanes_remember(pass->lanes, block->layer, qkv, &shape, pass);
    kernels->attention_forward(att, kept_or(keep->lse, pass->lse), qkv, &pass->rows, &shape,
                               attention_dropout(block, pass), pass->attention);
}

/* y = norm(dropout(pass->o + the linear's bias) + residual) behind the first or the second half; the sum goes on
 * when pre_norm. */
static void join(const Block *block, BlockKeep *keep, bool first, float *y, const float *residual, Pass *pass)
{
    const Site site = first ? SITE_ATTN_OUT : SITE_FF;
    const NormInput input = {
        .x = pass->o,
        .bias = linear_bias(first ? &block->attn_out : &block->ff_down),
        .residual = residual,
        .dropout = pass_dropout(pass, block->layer, site, block->hidden_dropout),
        .sum = block->pre_norm ? pass->r : NULL,
    };
    norm_apply(first ? &block->norm1 : &block->norm2, first ? &keep->norm1 : &keep->norm2, y, &input,
               rows_behind(block, pass), pass);
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
static void attention_half_forward(const Block *block, BlockKeep *keep, Pass *pass)
{
    const int64_t E = block->E;
    float *qkv = kept_or(keep->qkv, pass->g);
    project(block, keep, qkv, pass);

    float *att = kept_or(keep->att, block->tail ? pass->row_b : pass->y);
    float *full = block->tail ? pass->o : att;
    attend(block, keep, full, qkv, pass);
    if (block->tail)
        pass_gather(pass, att, full, E, E);
    linear_forward(&block->attn_out, &keep->attn_out, pass->o, block->C, att, rows_behind(block, pass), pass);
    join(block, keep, true, pass->y, residual_of(block, pass), pass);
}

/* pass->g[M,F] = the activation of pass->y's projection. */
static void activate(const Block *block, BlockKeep *keep, Pass *pass)
{
    const Rows *rows = rows_behind(block, pass);
    const float *bias = linear_bias(&block->ff_up);
    float *pre = kept_or(keep->pre, block->gated ? pass->pre : pass->g);
    linear_forward(&block->ff_up, &keep->ff_up, pre, pre_width(block), pass->y, rows, pass);
    if (block->gated)
        kernels->gated_act_forward(pass->g, pre, pre, bias, rows->N, block->F, block->act);
    else
        kernels->bias_act_forward(pass->g, keep->pre, pre, bias, rows->N, block->F, block->act);
}

/* pass->y -> pass->x */
static void ff_half_forward(const Block *block, BlockKeep *keep, Pass *pass)
{
    activate(block, keep, pass);
    linear_forward(&block->ff_down, &keep->ff_down, pass->o, block->C, pass->g, rows_behind(block, pass), pass);
    join(block, keep, false, pass->x, block->pre_norm ? pass->r : pass->y, pass);
}

void block_forward(const Block *block, BlockKeep *keep, Pass *pass)
{
    BlockKeep nothing = { 0 };
    keep = keep ? keep : &nothing;
    attention_half_forward(block, keep, pass);
    ff_half_forward(block, keep, pass);
}

/* ---- backward -------------------------------------------------------------- */

/* Where the gradient at a sum stands: the residual's too. */
static float *stream(const Block *block, const Pass *pass)
{
    return block->pre_norm ? pass->r : pass->x;
}

/* pass->x, the gradient at the norm's output -> the gradient at its sum, in stream(). */
static void norm_of_block_backward(const Block *block, const Norm *norm, const NormKeep *keep, Pass *pass)
{
    const bool first = block->tail && norm == &block->norm2; /* nothing else reads that sum */
    norm_pull(norm, keep, stream(block, pass), pass->x, block->pre_norm && !first ? pass->r : NULL,
              rows_behind(block, pass), pass);
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
static const float *input_of_ff_down(const Block *block, const BlockKeep *keep, Pass *pass)
{
    if (!linear_needs_input(&block->ff_down))
        return NULL;
    const int64_t N = rows_behind(block, pass)->N;
    if (block->gated)
        kernels->gated_act_forward(pass->g, keep->pre, keep->pre, NULL, N, block->F, block->act);
    else
        kernels->bias_act_forward(pass->g, NULL, keep->pre, NULL, N, block->F, block->act);
    return pass->g;
}

static const float *input_of_ff_up(const Block *block, const BlockKeep *keep, Pass *pass)
{
    if (!linear_needs_input(&block->ff_up))
        return NULL;
    norm_restore(&block->norm1, &keep->norm1, pass->y, rows_behind(block, pass), pass);
    return pass->y;
}

static const float *input_of_block(const Block *block, const BlockInput *input, Pass *pass)
{
    if (!block_needs_input(block))
        return NULL;
    if (input->norm)
        norm_restore(input->norm, input->kept, pass->y, &pass->rows, pass);
    else
        embedding_restore(input->embedding, input->embedding_kept, pass->y, pass);
    return pass->y;
}

/* pass->g: gradient of the activation's output -> of its input (which returns it). */
static const float *activate_backward(const Block *block, BlockKeep *keep, Pass *pass)
{
    const int64_t N = rows_behind(block, pass)->N;
    if (!block->gated) {
        kernels->act_backward(pass->g, pass->g, keep->pre, N, block->F, block->act);
        return pass->g;
    }
    kernels->gated_act_backward(keep->pre, pass->g, keep->pre, N, block->F, block->act);
    return keep->pre;
}

/* pass->x: gradient at the block's output -> at norm1's output. */
static void ff_half_backward(const Block *block, BlockKeep *keep, Pass *pass)
{
    const BlockNeeds *needs = &block->needs;
    const Rows *rows = rows_behind(block, pass);
    norm_of_block_backward(block, &block->norm2, &keep->norm2, pass);
    if (!needs->sum2)
        return;
    const LinearGrad down = {
        .dy = undrop(block, SITE_FF, pass),
        .ldy = block->C,
        .x = input_of_ff_down(block, keep, pass),
        .dx = needs->pre ? pass->g : NULL,
    };
    linear_backward(&block->ff_down, &keep->ff_down, &down, rows, pass);
    if (!needs->pre)
        return;
    const LinearGrad up = {
        .dy = activate_backward(block, keep, pass),
        .ldy = pre_width(block),
        .x = input_of_ff_up(block, keep, pass),
        .dx = needs->y ? pass->x : NULL, /* which holds the residual's when post-norm */
        .beta = block->pre_norm ? 0 : 1,
    };
    linear_backward(&block->ff_up, &keep->ff_up, &up, rows, pass);
}

static void exchange(float **a, float **b)
{
    float *held = *a;
    *a = *b;
    *b = held;
}

/* dq of the read rows, gathered from pass->g; their part of the input's gradient goes to pass->x[M,C]. */
static void project_apart_backward(const Block *block, const BlockKeep *keep, const float *x, Pass *pass)
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
    linear_backward(&block->q, &keep->q, &q, &pass->reads, pass);
}

/* In a tail pass->x and the stream hold the read rows only: all rows' gradient is made in
 * pass->o, and they come to it. */
static void project_tail_backward(const Block *block, const BlockKeep *keep, const BlockInput *input, Pass *pass)
{
    const int64_t C = block->C;
    const bool apart = q_is_apart(block);
    const float *x = input_of_block(block, input, pass);
    float *dx = block->needs.x ? pass->o : NULL;
    const LinearGrad grad = { .dy = apart ? pass->g + block->E : pass->g, .ldy = block->QKV, .x = x, .dx = dx };
    linear_backward(&block->qkv, &keep->in, &grad, &pass->rows, pass);
    if (apart)
        project_apart_backward(block, keep, x, pass);
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
static void project_backward(const Block *block, const BlockKeep *keep, const BlockInput *input, Pass *pass)
{
    const LinearGrad grad = {
        .dy = pass->g,
        .ldy = block->QKV,
        .x = input_of_block(block, input, pass),
        .dx = block->needs.x ? pass->x : NULL,
        .beta = block->pre_norm ? 0 : 1,
    };
    linear_backward(&block->qkv, &keep->in, &grad, &pass->rows, pass);
}

/* Gradient of attention's output in `datt` -> dqkv in pass->g. Only read rows exist in a tail. */
static void attention_of_block_backward(const Block *block, const BlockKeep *keep, const float *datt, Pass *pass)
{
    const AttentionShape shape = attention_shape(block, pass);
    const float *dout = datt;
    if (block->tail) {
        pass_scatter(pass, pass->o, block->E, datt, block->E);
        dout = pass->o;
    }
    kernels->attention_backward(pass->g, dout, keep->lse, keep->qkv, &pass->rows, &shape,
                                attention_dropout(block, pass), pass->attention);
    rope_turn(&pass->rope, pass->g, block->QKV, shape.H + shape.K, &pass->rows, true);
}

/* pass->x: gradient at norm1's output -> at the block's input. */
static void attention_half_backward(const Block *block, BlockKeep *keep, const BlockInput *input, Pass *pass)
{
    const BlockNeeds *needs = &block->needs;
    norm_of_block_backward(block, &block->norm1, &keep->norm1, pass);
    if (!needs->sum1)
        return;
    float *datt = block->tail ? pass->row_b : pass->o;
    const LinearGrad out = {
        .dy = undrop(block, SITE_ATTN_OUT, pass),
        .ldy = block->C,
        .x = linear_needs_input(&block->attn_out) ? keep->att : NULL,
        .dx = needs->qkv ? datt : NULL,
    };
    linear_backward(&block->attn_out, &keep->attn_out, &out, rows_behind(block, pass), pass);
    if (!needs->qkv)
        return;
    attention_of_block_backward(block, keep, datt, pass);
    if (block->tail)
        project_tail_backward(block, keep, input, pass);
    else
        project_backward(block, keep, input, pass);
}

void block_backward(const Block *block, BlockKeep *keep, const BlockInput *input, Pass *pass)
{
    REQUIRE(block->needs.out);
    ff_half_backward(block, keep, pass);
    if (block->needs.y)
        attention_half_backward(block, keep, input, pass);
}
