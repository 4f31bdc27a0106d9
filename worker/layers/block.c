#include "worker/layers/block.h"

#include "worker/kernels/kernels.h"

void block_plan(Block *block, bool below)
{
    BlockNeeds *needs = &block->needs;
    needs->x = below;
    needs->qkv = needs->x || linear_is_trained(&block->qkv) || linear_is_trained(&block->q);
    needs->sum1 = needs->qkv || linear_is_trained(&block->attn_out);
    needs->y = needs->sum1 || module_is_trained(&block->attn_norm.module);
    needs->pre = needs->y || linear_is_trained(&block->ff_up);
    needs->sum2 = needs->pre || linear_is_trained(&block->ff_down);
    needs->out = needs->sum2 || module_is_trained(&block->ff_norm.module);
}

bool block_needs_input(const Block *block)
{
    return linear_needs_input(&block->qkv) || linear_needs_input(&block->q);
}

void block_layout(Block *block, Layout *layout, const PassSizes *sizes, bool training, bool above)
{
    const BlockNeeds *needs = &block->needs;
    const int64_t N = sizes->most_tokens;
    const int64_t M = block->tail ? sizes->most_sequences : N;
    linear_layout(&block->qkv, layout, N, training);
    linear_layout(&block->q, layout, M, training);
    linear_layout(&block->attn_out, layout, M, training);
    linear_layout(&block->ff_up, layout, M, training);
    linear_layout(&block->ff_down, layout, M, training);
    layernorm_layout(&block->attn_norm, layout, M,
                     training && (needs->y || linear_needs_input(&block->ff_up)));
    layernorm_layout(&block->ff_norm, layout, M, training && (needs->out || above));
    block->kept_qkv = layout_floats_if(layout, training && needs->qkv, N * 3 * block->C);
    block->kept_att = layout_floats_if(layout, training && linear_needs_input(&block->attn_out),
                                       M * block->C);
    block->kept_lse = layout_floats_if(layout, training && needs->qkv, N * block->attention.H);
    block->kept_pre = layout_floats_if(
        layout, training && (needs->pre || linear_needs_input(&block->ff_down)), M * block->F);
}

void block_bind(Block *block, const float *values)
{
    linear_bind(&block->qkv, values);
    if (block->tail)
        linear_bind(&block->q, values);
    linear_bind(&block->attn_out, values);
    linear_bind(&block->ff_up, values);
    linear_bind(&block->ff_down, values);
}

/* The rows behind the attention. */
static const Rows *rows_behind(const Block *block, const Pass *pass)
{
    return block->tail ? &pass->firsts : &pass->rows;
}

/* The buffer to keep it in, when backward follows and it was planned; else a passing one. */
static float *kept_or(const Pass *pass, float *kept, float *passing)
{
    return pass->grad && kept ? kept : passing;
}

/* ---- forward --------------------------------------------------------------- */

/* qkv[N,3C] of all rows. */
static void project(Block *block, float *qkv, Pass *pass)
{
    linear_forward(&block->qkv, qkv, 3 * block->C, pass->x, &pass->rows, pass);
    linear_add_bias(&block->qkv, qkv, 3 * block->C, pass->rows.N);
}

/* The same where only first rows have a q: k and v of all rows, q of B. Leaves the
 * first rows of the input in pass->row_a. */
static void project_tail(Block *block, float *qkv, Pass *pass)
{
    const int64_t C = block->C;
    float *q = pass->row_b;
    linear_forward(&block->qkv, qkv + C, 3 * C, pass->x, &pass->rows, pass);
    linear_add_bias(&block->qkv, qkv + C, 3 * C, pass->rows.N);
    pass_gather(pass, pass->row_a, pass->x, C, C);
    linear_forward(&block->q, q, C, pass->row_a, &pass->firsts, pass);
    linear_add_bias(&block->q, q, C, pass->rows.B);
    pass_scatter(pass, qkv, 3 * C, q, C);
}

/* y = norm(dropout(x + the linear's bias) + residual) */
static void join(const Block *block, LayerNorm *norm, float *y, const float *x,
                 const Linear *linear, const float *residual, Pass *pass)
{
    const Site site = norm == &block->attn_norm ? SITE_ATTN_OUT : SITE_FF;
    const LayerNormInput input = {
        .x = x,
        .bias = linear_bias(linear),
        .residual = residual,
        .dropout = pass_dropout(pass, block->layer, site, block->hidden_dropout),
    };
    layernorm_forward(norm, y, &input, rows_behind(block, pass), pass);
}

static Dropout attention_dropout(const Block *block, Pass *pass)
{
    return pass_dropout(pass, block->layer, SITE_ATTENTION, block->attention_dropout);
}

/* pass->x -> pass->y */
static void attention_half_forward(Block *block, Pass *pass)
{
    const int64_t C = block->C;
    float *qkv = kept_or(pass, block->kept_qkv, pass->g);
    float *att = kept_or(pass, block->kept_att, block->tail ? pass->row_b : pass->y);
    float *full = block->tail ? pass->o : att;
    const float *residual = block->tail ? pass->row_a : pass->x;

    if (block->tail)
        project_tail(block, qkv, pass);
    else
        project(block, qkv, pass);
    attention_forward(full, kept_or(pass, block->kept_lse, pass->lse), qkv, &pass->rows, &block->attention,
                      attention_dropout(block, pass), pass->attention);
    if (block->tail)
        pass_gather(pass, att, full, C, C);
    linear_forward(&block->attn_out, pass->o, C, att, rows_behind(block, pass), pass);
    join(block, &block->attn_norm, pass->y, pass->o, &block->attn_out, residual, pass);
}

/* pass->y -> pass->x */
static void ff_half_forward(Block *block, Pass *pass)
{
    const Rows *rows = rows_behind(block, pass);
    float *kept = kept_or(pass, block->kept_pre, NULL);
    float *pre = kept ? kept : pass->g;
    linear_forward(&block->ff_up, pre, block->F, pass->y, rows, pass);
    bias_act_forward(pass->g, kept, pre, linear_bias(&block->ff_up), rows->N, block->F,
                     block->act);
    linear_forward(&block->ff_down, pass->o, block->C, pass->g, rows, pass);
    join(block, &block->ff_norm, pass->x, pass->o, &block->ff_down, pass->y, pass);
}

void block_forward(Block *block, Pass *pass)
{
    attention_half_forward(block, pass);
    ff_half_forward(block, pass);
}

/* ---- backward -------------------------------------------------------------- */

/* The gradient before a sublayer's dropout: pass->x itself where nothing is dropped. */
static const float *undrop(const Block *block, Site site, Pass *pass)
{
    const Dropout dropout = pass_dropout(pass, block->layer, site, block->hidden_dropout);
    if (dropout.p <= 0)
        return pass->x;
    dropout_apply(pass->y, pass->x, rows_behind(block, pass), dropout, block->C);
    return pass->y;
}

/* g = act(pre), made again for the gradients of ff_down. */
static const float *input_of_ff_down(const Block *block, Pass *pass)
{
    if (!linear_needs_input(&block->ff_down))
        return NULL;
    bias_act_forward(pass->g, NULL, block->kept_pre, NULL, rows_behind(block, pass)->N, block->F,
                     block->act);
    return pass->g;
}

static const float *input_of_ff_up(const Block *block, Pass *pass)
{
    if (!linear_needs_input(&block->ff_up))
        return NULL;
    layernorm_restore(&block->attn_norm, pass->y, rows_behind(block, pass), pass);
    return pass->y;
}

static const float *input_of_block(const Block *block, Pass *pass)
{
    if (!block_needs_input(block))
        return NULL;
    if (block->before)
        layernorm_restore(&block->before->ff_norm, pass->y, &pass->rows, pass);
    else
        embedding_restore(block->embedding, pass->y, pass);
    return pass->y;
}

/* pass->x: gradient at the block's output -> at norm1's output. */
static void ff_half_backward(Block *block, Pass *pass)
{
    const BlockNeeds *needs = &block->needs;
    const Rows *rows = rows_behind(block, pass);
    layernorm_backward(&block->ff_norm, pass->x, rows, pass);
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
    act_backward(pass->g, pass->g, block->kept_pre, rows->N, block->F, block->act);
    const LinearGrad up = {
        .dy = pass->g,
        .ldy = block->F,
        .x = input_of_ff_up(block, pass),
        .dx = needs->y ? pass->x : NULL, /* which holds the gradient of the residual */
        .beta = 1,
    };
    linear_backward(&block->ff_up, &up, rows, pass);
}

/* dqkv in pass->g and the residual's gradient in pass->x -> pass->x. */
static void project_backward(Block *block, Pass *pass)
{
    const LinearGrad grad = {
        .dy = pass->g,
        .ldy = 3 * block->C,
        .x = input_of_block(block, pass),
        .dx = block->needs.x ? pass->x : NULL,
        .beta = 1,
    };
    linear_backward(&block->qkv, &grad, &pass->rows, pass);
}

/* The same where pass->x holds the residual's gradient of B rows only, and so does dq. */
static void project_tail_backward(Block *block, Pass *pass)
{
    const int64_t C = block->C;
    const float *x = input_of_block(block, pass);
    float *dx = block->needs.x ? pass->o : NULL;
    const LinearGrad kv = { .dy = pass->g + C, .ldy = 3 * C, .x = x, .dx = dx };
    linear_backward(&block->qkv, &kv, &pass->rows, pass);

    pass_gather(pass, pass->row_a, pass->g, 3 * C, C);
    if (x)
        pass_gather(pass, pass->row_b, x, C, C);
    const LinearGrad q = {
        .dy = pass->row_a,
        .ldy = C,
        .x = x ? pass->row_b : NULL,
        .dx = dx ? pass->x : NULL,
        .beta = 1,
    };
    linear_backward(&block->q, &q, &pass->firsts, pass);
    if (!dx)
        return;
    pass_scatter_add(pass, dx, C, pass->x, C);
    pass->o = pass->x;
    pass->x = dx;
}

/* Gradient of attention's output in `datt` -> dqkv in pass->g. Only first rows exist in a tail. */
static void attention_of_block_backward(Block *block, const float *datt, Pass *pass)
{
    const int64_t C = block->C;
    const float *dout = datt;
    if (block->tail) {
        pass_scatter(pass, pass->o, C, datt, C);
        dout = pass->o;
    }
    attention_backward(pass->g, dout, block->kept_lse, block->kept_qkv, &pass->rows,
                       &block->attention, attention_dropout(block, pass), pass->attention);
}

/* pass->x: gradient at norm1's output -> at the block's input. */
static void attention_half_backward(Block *block, Pass *pass)
{
    const BlockNeeds *needs = &block->needs;
    const Rows *rows = rows_behind(block, pass);
    layernorm_backward(&block->attn_norm, pass->x, rows, pass);
    if (!needs->sum1)
        return;
    float *datt = block->tail ? pass->row_b : pass->o;
    const LinearGrad out = {
        .dy = undrop(block, SITE_ATTN_OUT, pass),
        .ldy = block->C,
        .x = linear_needs_input(&block->attn_out) ? block->kept_att : NULL,
        .dx = needs->qkv ? datt : NULL,
    };
    linear_backward(&block->attn_out, &out, rows, pass);
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
