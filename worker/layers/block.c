#include "worker/layers/block.h"

#include "worker/kernels/kernels.h"

/* ---- plan and memory ---------------------------------------------------------- */

static bool is_trained(const Norm *norm)
{
    return module_is_trained(&norm->module);
}

/* ---- bodies ---- */

static bool plan_body(Sublayer *s)
{
    if (s->kind == BODY_CROSS)
        return cross_body_plan(&s->cross, s->needs_in);
    return s->kind == BODY_ATTENTION ? attention_body_plan(&s->attention, s->needs_in) : mlp_plan(&s->mlp, s->needs_in);
}

static bool needs_input(const Sublayer *s)
{
    if (s->kind == BODY_CROSS)
        return cross_body_needs_input(&s->cross);
    return s->kind == BODY_ATTENTION ? attention_body_needs_input(&s->attention) : mlp_needs_input(&s->mlp);
}

static void lay_out_body(Sublayer *s, Layout *layout)
{
    if (s->kind == BODY_CROSS)
        cross_body_layout(&s->cross, layout);
    else if (s->kind == BODY_ATTENTION)
        attention_body_layout(&s->attention, layout);
    else
        mlp_layout(&s->mlp, layout);
}

static void bind_body(Sublayer *s, const float *values)
{
    if (s->kind == BODY_CROSS)
        cross_body_bind(&s->cross, values);
    else if (s->kind == BODY_ATTENTION)
        attention_body_bind(&s->attention, values);
    else
        mlp_bind(&s->mlp, values);
}

/* rows: that come out. */
static void body_forward(const Sublayer *s, SublayerKeep *keep, bool tail, const Rows *rows, Pass *pass)
{
    if (s->kind == BODY_CROSS)
        cross_body_forward(&s->cross, &keep->cross, rows, pass);
    else if (s->kind == BODY_ATTENTION)
        attention_body_forward(&s->attention, &keep->attention, tail, pass);
    else
        mlp_forward(&s->mlp, &keep->mlp, rows, pass);
}

static void body_backward(const Sublayer *s, SublayerKeep *keep, bool tail, const Rows *rows, const BodyGrad *grad,
                          Pass *pass)
{
    if (s->kind == BODY_CROSS)
        cross_body_backward(&s->cross, &keep->cross, rows, grad, pass);
    else if (s->kind == BODY_ATTENTION)
        attention_body_backward(&s->attention, &keep->attention, tail, grad, pass);
    else
        mlp_backward(&s->mlp, &keep->mlp, rows, grad, pass);
}

/* The linear that it ends in. */
static const Linear *last_of(const Sublayer *s)
{
    return s->kind == BODY_CROSS ? &s->cross.out : s->kind == BODY_ATTENTION ? &s->attention.out : &s->mlp.down;
}

/* ---- plan ---- */

static bool plan(Sublayer *s, bool below)
{
    const bool before = s->place == NORM_BEFORE;
    s->needs_in = below || (before && is_trained(&s->norm));
    s->needs_body = plan_body(s);
    s->needs_sum = s->needs_body || (norm_is_there(&s->after) && is_trained(&s->after));
    s->needs_out = s->needs_sum || (!before && is_trained(&s->norm));
    return s->needs_out;
}

bool block_plan(Block *block, bool below)
{
    bool needed = below;
    for (int i = 0; i < block->count; i++) {
        const bool out = plan(&block->sublayers[i], block->side_by_side ? below : needed);
        needed = needed || out;
    }
    return needed;
}

bool block_needs_input(const Block *block)
{
    return block->sublayers[0].place == NORM_BEHIND && needs_input(&block->sublayers[0]);
}

void block_layout(Block *block, Layout *layout)
{
    for (int i = 0; i < block->count; i++) {
        Sublayer *s = &block->sublayers[i];
        lay_out_body(s, layout);
        norm_layout(&s->norm, layout);
        norm_layout(&s->after, layout);
    }
}

/* Rows behind an attention of a tail are fewer. */
static int64_t most_rows(bool narrow, const PassSizes *sizes)
{
    return narrow ? sizes->most_read : sizes->most_tokens;
}

void block_keep_layout(BlockKeep *keep, const Block *block, Layout *layout, const PassSizes *sizes, bool tail,
                       bool above)
{
    bool narrow = false;
    for (int i = 0; i < block->count; i++) {
        const Sublayer *s = &block->sublayers[i];
        SublayerKeep *k = &keep->sublayers[i];
        const bool narrow_in = narrow;
        narrow = narrow || (tail && s->kind == BODY_ATTENTION);
        if (s->kind == BODY_ATTENTION)
            attention_body_keep_layout(&k->attention, &s->attention, layout, sizes, tail);
        else if (s->kind == BODY_CROSS)
            cross_body_keep_layout(&k->cross, &s->cross, layout, sizes, most_rows(narrow, sizes));
        else
            mlp_keep_layout(&k->mlp, &s->mlp, layout, most_rows(narrow, sizes));
        if (norm_is_there(&s->after) && s->needs_sum)
            norm_keep_layout(&k->after, &s->after, layout, most_rows(narrow, sizes));
        const bool again = i + 1 < block->count ? needs_input(&block->sublayers[i + 1]) : above;
        if (s->place == NORM_BEFORE && (s->needs_in || needs_input(s)))
            norm_keep_layout(&k->norm, &s->norm, layout, most_rows(narrow_in, sizes));
        if (s->place == NORM_BEHIND && (s->needs_out || again))
            norm_keep_layout(&k->norm, &s->norm, layout, most_rows(narrow, sizes));
    }
}

bool block_is_needed(const Block *block)
{
    bool needed = false;
    for (int i = 0; i < block->count; i++)
        needed = needed || block->sublayers[i].needs_out;
    return needed;
}

bool block_keeps_outlet(const Block *block, bool above)
{
    const Sublayer *last = &block->sublayers[block->count - 1];
    return last->place == NORM_BEHIND && (last->needs_out || above);
}

void block_bind(Block *block, const float *values)
{
    for (int i = 0; i < block->count; i++) {
        Sublayer *s = &block->sublayers[i];
        bind_body(s, values);
        norm_bind(&s->norm, values);
        norm_bind(&s->after, values);
    }
}

void block_measure(const Block *block, bool drops, int threads, PassSizes *sizes)
{
    sizes->side = sizes->side || block->side_by_side;
    for (int i = 0; i < block->count; i++) {
        const Sublayer *s = &block->sublayers[i];
        if (s->kind == BODY_ATTENTION)
            attention_body_measure(&s->attention, drops, threads, sizes);
        else if (s->kind == BODY_CROSS)
            cross_body_measure(&s->cross, drops, threads, sizes);
        else
            mlp_measure(&s->mlp, drops, sizes);
    }
}

/* ---- the loop --------------------------------------------------------------------- */

/* Rows that come into sublayer i, or with i + 1 out of it. */
static const Rows *rows_at(const Block *block, int i, const BlockCall *call, const Pass *pass)
{
    bool narrow = false;
    for (int before = 0; before < i; before++)
        narrow = narrow || (call->tail && block->sublayers[before].kind == BODY_ATTENTION);
    return narrow ? &pass->reads : &pass->rows;
}

Inlet block_outlet(const Block *block, const BlockKeep *keep)
{
    const Sublayer *last = &block->sublayers[block->count - 1];
    return last->place == NORM_BEHIND ? (Inlet){ .norm = &last->norm, .keep = &keep->sublayers[block->count - 1].norm }
                                      : (Inlet){ 0 };
}

const Norm *block_first_norm(const Block *block)
{
    return block->sublayers[0].place == NORM_BEFORE ? &block->sublayers[0].norm : NULL;
}

/* What a sum meets: the sublayer's norm, or that of who comes next. */
typedef struct Meets {
    const Norm *norm; /* NULL: nothing */
    NormKeep *keep;
} Meets;

static Meets meets(const Block *block, int i, const BlockCall *call, BlockKeep *keep)
{
    const Sublayer *s = &block->sublayers[i];
    if (s->place == NORM_BEHIND)
        return (Meets){ &s->norm, &keep->sublayers[i].norm };
    if (i + 1 < block->count && block->side_by_side)
        return (Meets){ 0 };
    if (i + 1 < block->count)
        return (Meets){ &block->sublayers[i + 1].norm, &keep->sublayers[i + 1].norm };
    return (Meets){ call->next, call->next_keep };
}

/* The rows that the body's output is added to. */
static const float *residual_of(const Block *block, const Sublayer *s, bool narrows, Pass *pass)
{
    const float *all = s->place == NORM_BEFORE ? pass->r : pass->x;
    if (!narrows)
        return all;
    pass_gather(pass, pass->row_a, all, block->C, block->C);
    return pass->row_a;
}

static bool is_bent(const Sublayer *s)
{
    return norm_is_there(&s->after) || s->factor != 1.0f;
}

/* What the body gave, in pass->o, through its norm and its factor: the bias is in it then. */
static void bend(const Sublayer *s, SublayerKeep *keep, const Linear *last, const Rows *rows, Pass *pass)
{
    const NormInput given = { .x = pass->o };
    linear_add_bias(last, pass->o, last->out, rows->N);
    if (norm_is_there(&s->after))
        norm_apply(&s->after, &keep->after, pass->o, &given, rows, pass);
    if (s->factor != 1.0f)
        pass_scale(pass->o, pass->o, s->factor, rows->N * last->out);
}

/* The residual + dropout(pass->o + bias), and the norm that it meets. */
static void join(const Block *block, const Sublayer *s, SublayerKeep *keep, const Meets *meets, bool narrows,
                 const Rows *rows, Pass *pass)
{
    const Linear *last = last_of(s);
    if (is_bent(s))
        bend(s, keep, last, rows, pass);
    const NormInput input = {
        .x = pass->o,
        .bias = is_bent(s) ? NULL : linear_bias(last),
        .residual = residual_of(block, s, narrows, pass),
        .dropout = pass_dropout(pass, block->layer, s->site, s->dropout),
        .sum = s->place == NORM_BEFORE ? pass->r : NULL,
    };
    pass->normed = s->place == NORM_BEFORE && meets->norm;
    if (!meets->norm) {
        norm_sum(&input, pass->y, block->C, rows);
        return;
    }
    norm_apply(meets->norm, meets->keep, pass->y, &input, rows, pass);
    pass_exchange(&pass->x, &pass->y);
}

/* What the next of several side by side reads: its norm of the stream as it came, of the rows that go on. */
static void read_beside(const Block *block, const Sublayer *next, NormKeep *keep, bool narrows, const Rows *rows,
                        Pass *pass)
{
    const NormInput stream = { .x = residual_of(block, next, narrows, pass) };
    norm_apply(&next->norm, keep, pass->y, &stream, rows, pass);
    pass_exchange(&pass->x, &pass->y);
}

void block_forward(const Block *block, const BlockCall *call, Pass *pass)
{
    BlockKeep nothing = { 0 }, *keep = call->keep ? call->keep : &nothing;
    for (int i = 0; i < block->count; i++) {
        const Sublayer *s = &block->sublayers[i];
        SublayerKeep *k = &keep->sublayers[i];
        const Rows *in = rows_at(block, i, call, pass), *out = rows_at(block, i + 1, call, pass);
        const NormInput stream = { .x = pass->r };
        const Meets next = meets(block, i, call, keep);
        if (s->place == NORM_BEFORE && !pass->normed)
            norm_apply(&s->norm, &k->norm, pass->x, &stream, in, pass);
        if (call->again && i + 1 == block->count && s->kind == BODY_MLP && !norm_is_there(&s->after)) {
            mlp_keep_again(&s->mlp, &k->mlp, out, pass);
            return;
        }
        body_forward(s, k, call->tail, out, pass);
        const bool beside = block->side_by_side && i + 1 < block->count;
        if (beside)
            read_beside(block, s + 1, &k[1].norm, in != out, out, pass);
        join(block, s, k, &next, in != out, out, pass);
        pass->normed = pass->normed || beside;
    }
}

/* The gradient at what the body gave: the stream itself where nothing is done to it. */
static const float *undo_join(const Block *block, const Sublayer *s, const SublayerKeep *keep, const Rows *rows,
                              Pass *pass)
{
    const float *dy = s->place == NORM_BEFORE ? pass->r : pass->x;
    const Dropout dropout = pass_dropout(pass, block->layer, s->site, s->dropout);
    if (dropout.p > 0) {
        kernels->dropout_apply(pass->y, dy, rows, dropout, block->C);
        dy = pass->y;
    }
    if (s->factor != 1.0f) {
        pass_scale(pass->y, dy, s->factor, rows->N * block->C);
        dy = pass->y;
    }
    if (norm_is_there(&s->after)) {
        norm_pull(&s->after, &keep->after, pass->y, dy, NULL, rows, pass);
        dy = pass->y;
    }
    return dy;
}

/* From where the body's input is made again. */
static Inlet inlet_of(const Block *block, int i, const BlockCall *call)
{
    const Sublayer *s = &block->sublayers[i];
    if (s->place == NORM_BEFORE)
        return (Inlet){ .norm = &s->norm, .keep = &call->keep->sublayers[i].norm };
    if (i > 0)
        return (Inlet){ .norm = &s[-1].norm, .keep = &call->keep->sublayers[i - 1].norm };
    return call->input;
}

/* The body's gradient is in pass->x: through the norm to the stream's. Of several side by side it is added up
 * in pass->side, as pass->r is every body's. */
static void norm_before_backward(const Block *block, const Sublayer *s, const NormKeep *keep, bool narrows,
                                 const Rows *rows, Pass *pass)
{
    if (block->side_by_side && s > block->sublayers) {
        const bool last = s == &block->sublayers[block->count - 1];
        norm_pull(&s->norm, keep, pass->side, pass->x, last ? pass->r : pass->side, rows, pass);
        return;
    }
    if (block->side_by_side && s[1].needs_in)
        pass_exchange(&pass->r, &pass->side);
    if (narrows) {
        pass_spread(pass, pass->y, pass->r, block->C);
        pass_exchange(&pass->r, &pass->y);
    }
    norm_pull(&s->norm, keep, pass->r, pass->x, pass->r, rows, pass);
}

static void sublayer_backward(const Block *block, int i, const BlockCall *call, Pass *pass)
{
    const Sublayer *s = &block->sublayers[i];
    SublayerKeep *k = &call->keep->sublayers[i];
    const Rows *in = rows_at(block, i, call, pass), *out = rows_at(block, i + 1, call, pass);
    const bool behind = s->place == NORM_BEHIND;
    if (behind)
        norm_pull(&s->norm, &k->norm, pass->x, pass->x, NULL, out, pass);
    if (!s->needs_sum)
        return;
    const BodyGrad grad = {
        .dy = undo_join(block, s, k, out, pass),
        .input = inlet_of(block, i, call),
        .beta = behind ? 1 : 0,
    };
    if (!s->needs_body)
        return;
    body_backward(s, k, call->tail, out, &grad, pass);
    if (s->needs_in && !behind)
        norm_before_backward(block, s, &k->norm, in != out, in, pass);
}

void block_backward(const Block *block, const BlockCall *call, Pass *pass)
{
    for (int i = block->count - 1; i >= 0; i--)
        if (block->sublayers[i].needs_out)
            sublayer_backward(block, i, call, pass);
}
