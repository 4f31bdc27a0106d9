/* DESIGN. A call binds the values, takes the micro-batch's rows, and runs the layers up and down. What backward needs
 * of a forward is in the keep; all else that a call leaves behind is scratch. */
#include "worker/model/model.h"

#include "worker/layers/pool.h"
#include "worker/model/again.h"
#include "worker/model/model_parts.h"

#include <string.h>

static int64_t longest_of(const Batch *batch)
{
    int64_t longest = 0;
    for (int64_t b = 0; b < batch->B; b++)
        longest = batch->start[b + 1] - batch->start[b] > longest ? batch->start[b + 1] - batch->start[b] : longest;
    return longest;
}

/* From the first to the last token of sequence b that has a goal. */
static void read_labelled(Pass *pass, const Batch *batch, int64_t b)
{
    int64_t first = batch->start[b], end = batch->token_goal ? batch->start[b + 1] : first;
    while (first < end && batch->token_goal[first] < 0)
        first++;
    while (end > first && batch->token_goal[end - 1] < 0)
        end--;
    pass->read_first[b] = first - batch->start[b];
    pass->read_end[b] = end - batch->start[b];
}

/* Of a sequence, the last token that is no padding; of padding alone the first (Transformers,
 * GenericForSequenceClassification). */
static int64_t last_word(const ModelArch *arch, const int32_t *ids, int64_t T)
{
    int64_t last = T - 1;
    while (last > 0 && ids[last] == arch->pad_id)
        last--;
    return last;
}

/* The rows that the head reads; all: every token's logits are wanted. */
static void choose_reads(Model *model, const Batch *batch, bool all)
{
    Pass *pass = model->pass;
    for (int64_t b = 0; b < batch->B; b++) {
        const int64_t T = batch->start[b + 1] - batch->start[b];
        const HeadRows rows = model->arch->head.rows;
        if (rows == READ_LAST || rows == READ_END) {
            pass->read_first[b] = rows == READ_END ? T - 1 : last_word(model->arch, batch->ids + batch->start[b], T);
            pass->read_end[b] = pass->read_first[b] + 1;
        } else if (rows == READ_FIRST) {
            pass->read_first[b] = 0;
            pass->read_end[b] = 1;
        } else if (all || rows == READ_MEAN) {
            pass->read_first[b] = 0;
            pass->read_end[b] = T;
        } else {
            read_labelled(pass, batch, b);
        }
    }
    pass_read(pass);
}

/* Rows of the position table. Where padding stands, only tokens that are no padding are counted; it has
 * the row before (Transformers, create_position_ids_from_input_ids). */
static void find_places(Model *model, const Batch *batch)
{
    const int64_t offset = model->arch->position_offset;
    int32_t *places = model->pass->places;
    for (int64_t b = 0; places && b < batch->B; b++) {
        int32_t next = (int32_t)offset;
        for (int64_t n = batch->start[b]; n < batch->start[b + 1]; n++) {
            const bool padding = model->arch->padding_stands && batch->ids[n] == model->arch->pad_id;
            places[n] = padding ? (int32_t)offset - 1 : next++;
        }
    }
}

/* What heads add to scores, by distance. */
static void bind_scores(Model *model)
{
    if (!model->score_rows)
        return;
    const int64_t H = model->arch->H, width = model->room.added_width;
    const float *rows = module_floats(&model->score_table, model->pass->values);
    for (int64_t h = 0; h < H; h++)
        for (int64_t d = 0; d < width; d++)
            model->added[h * width + d] = rows[model->score_rows[d] * H + h];
}

/* The gradient of what heads add, by layers, -> of the table's rows. */
static void pull_scores(const Model *model)
{
    const int64_t H = model->arch->H, width = model->pass->added_width;
    float *to = module_grad(model->pass->grad, model->score_table.weight_at);
    for (int64_t d = 0; to && d < width; d++)
        for (int64_t h = 0; h < H; h++)
            to[model->score_rows[d] * H + h] += model->pass->dadded[h * width + d];
}

void model_bind(Model *model, const float *values)
{
    model->pass->values = values;
    bind_scores(model);
    distances_bind(&model->distances, model->pass);
    if (model->first == 0)
        conv_bind(&model->conv, values);
    if (model->opens)
        embedding_bind(&model->embedding, values);
    for (int64_t l = model->first; l < model->end; l++)
        block_bind(&model->blocks[l], values);
    if (!model->closes)
        return;
    norm_bind(&model->final, values);
    if (model->embeds)
        return;
    if (model->speaks)
        vocab_head_bind(&model->vocab_head, values);
    else
        head_bind(&model->head, values);
}

/* The micro-batch's rows, and those of them that the head reads. */
static void take_batch(Model *model, const Batch *batch, bool all)
{
    const ModelOptions *o = &model->options;
    Pass *pass = model->pass;
    pass->rows = (Rows){ .B = batch->B, .N = batch->N, .longest = longest_of(batch), .start = batch->start };
    REQUIRE(batch->B > 0 && batch->B <= o->most_sequences && batch->N <= o->most_tokens);
    REQUIRE(batch->start[0] == 0 && batch->start[batch->B] == batch->N);
    REQUIRE(pass->rows.longest <= o->longest);
    pass->batch_longest = batch->longest;
    pass->example = batch->example;
    choose_reads(model, batch, all);
    find_places(model, batch);
}

void model_begin(Model *model, const Batch *batch, const float *values, bool all)
{
    take_batch(model, batch, all);
    model_bind(model, values);
}

static ModelInput input_of(const Batch *batch)
{
    return (ModelInput){ { .ids = batch->ids, .types = batch->types, .pixels = batch->pixels }, batch->rows };
}

/* What a block's last sum meets: the next one's first norm, or the final one; at a boundary nothing. */
static BlockCall call_of(const Model *model, Keep *keep, int64_t layer)
{
    const int64_t last = model->arch->layers - 1;
    BlockCall call = { .keep = keep ? &keep->blocks[layer] : NULL, .tail = layer == last && !model->pass->lanes };
    if (layer == last) {
        call.next = model->ends ? &model->final : NULL;
        call.next_keep = keep ? &keep->final : NULL;
    } else if (!model->apart && layer + 1 < model->end) {
        call.next = block_first_norm(&model->blocks[layer + 1]);
        call.next_keep = keep ? &keep->blocks[layer + 1].sublayers[0].norm : NULL;
    }
    return call;
}

/* From where the stream behind a block is made again. */
static Inlet outlet_of(const Model *model, const Keep *keep, int64_t layer)
{
    if (layer == 0 && conv_is_there(&model->conv))
        return (Inlet){ .norm = &model->conv.norm, .keep = &keep->conv.norm };
    return block_outlet(&model->blocks[layer], &keep->blocks[layer]);
}

/* The stream between blocks: sums of a pre-norm model, else the norms' outputs. */
static float *stream_of(const Model *model)
{
    return model->arch->pre_norm ? model->pass->r : model->pass->x;
}

static size_t stream_bytes(const Model *model)
{
    return (size_t)(model->pass->rows.N * model->arch->C) * sizeof(float);
}

static void take_rows(Model *model, const float *rows)
{
    memcpy(stream_of(model), rows, stream_bytes(model));
    model->pass->normed = false;
}

void model_up(Model *model, Keep *keep, const ModelInput *input)
{
    if (model->opens)
        embedding_forward(&model->embedding, keep ? &keep->embedding : NULL, &input->embedding, model->pass);
    else
        take_rows(model, input->rows);
    for (int64_t l = model->first; l < model->end; l++) {
        const BlockCall call = call_of(model, keep, l);
        if (keep)
            again_note(model, keep, l);
        if (l == 0)
            conv_take(&model->conv, keep ? &keep->conv : NULL, model->pass);
        block_forward(&model->blocks[l], &call, model->pass);
        if (l == 0)
            conv_forward(&model->conv, keep ? &keep->conv : NULL, model->pass);
    }
}

/* The loss of what model_up left; with a keep its gradient at the hidden rows is in pass->x then. */
static BatchLoss find_loss(Model *model, Keep *keep, const Batch *batch)
{
    Pass *pass = model->pass;
    if (model->speaks)
        return vocab_head_loss(&model->vocab_head, batch->token_goal, pass);
    HeadKeep *kept = keep ? &keep->head : NULL;
    const BatchLoss loss = head_loss(&model->head, kept, batch->goal, batch->token_goal, pass);
    if (kept)
        head_backward(&model->head, kept, pass);
    return loss;
}

/* Where the input of a stage's first block is made again: it came over the boundary, or the embedding made it. */
static Inlet first_inlet(const Model *model, const Keep *keep, const ModelInput *input)
{
    if (model->opens)
        return embedding_outlet(&model->embedding, &keep->embedding);
    return (Inlet){ .rows = input->rows + model->pass->rows.N * model->arch->C };
}

void model_down(Model *model, Keep *keep, const ModelInput *input)
{
    Pass *pass = model->pass;
    if (model->closes && model->ends && model->below)
        norm_pull(&model->final, &keep->final, pass->r, pass->x, NULL, &pass->reads, pass);
    distances_zero(&model->distances);
    if (pass->dadded)
        memset(pass->dadded, 0, (size_t)(model->arch->H * pass->added_width) * sizeof *pass->dadded);
    for (int64_t l = model->end - 1; l >= model->first; l--) {
        BlockCall call = call_of(model, keep, l);
        call.input = l > model->first ? outlet_of(model, keep, l - 1) : first_inlet(model, keep, input);
        again_compute(model, keep, l);
        if (l == 0)
            conv_backward(&model->conv, &keep->conv, pass);
        block_backward(&model->blocks[l], &call, pass);
        if (l == 0)
            conv_give(&model->conv, &keep->conv, pass);
    }
    distances_backward(&model->distances, pass);
    if (pass->dadded)
        pull_scores(model);
    if (model->opens && embedding_is_trained(&model->embedding))
        embedding_backward(&model->embedding, &keep->embedding, &input->embedding, pass);
}

static bool has_goals(const Model *model, const Batch *batch)
{
    return model->arch->head.rows == READ_LABELLED ? batch->token_goal != NULL : batch->goal != NULL;
}

/* ---- training ---------------------------------------------------------------------------------- */

int64_t model_width_in(const Model *model)
{
    if (model->opens)
        return 0;
    return block_needs_input(&model->blocks[model->first]) ? 2 * model->arch->C : model->arch->C;
}

int64_t model_width_out(const Model *model)
{
    if (model->closes)
        return 0;
    return block_needs_input(&model->blocks[model->end]) ? 2 * model->arch->C : model->arch->C;
}

bool model_is_pulled(const Model *model)
{
    return !model->closes && model->below_end;
}

bool model_pulls(const Model *model)
{
    return !model->opens && model->below_first;
}

static void begin_training(Model *model, const Batch *batch, int64_t step)
{
    Pass *pass = model->pass;
    take_batch(model, batch, false);
    pass->drop = true;
    pass->seed = model->options.seed;
    pass->step = step;
}

/* What goes over the boundary behind the stage. */
static void give_rows(Model *model, Keep *keep, float *out)
{
    Pass *pass = model->pass;
    memcpy(out, stream_of(model), stream_bytes(model));
    if (keep && block_needs_input(&model->blocks[model->end])) {
        const Inlet outlet = outlet_of(model, keep, model->end - 1);
        inlet_restore(&outlet, out + pass->rows.N * model->arch->C, &pass->rows, pass);
    }
}

void model_forward(Model *model, int flight, const Batch *batch, int64_t step, float *out)
{
    REQUIRE(model->options.training && flight >= 0 && flight < (model->options.flights ? model->options.flights : 1));
    REQUIRE((!model->closes || model->embeds) == (out != NULL) && !model->opens == (batch->rows != NULL));
    Keep *keep = &model->keeps[flight];
    const ModelInput input = input_of(batch);
    begin_training(model, batch, step);
    model_up(model, keep, &input);
    if (out && model->closes)
        pool_forward(out, model->arch->C, model->pass);
    else if (out)
        give_rows(model, keep, out);
    else if (!model->speaks)
        head_forward(&model->head, &keep->head, model->pass);
}

BatchLoss model_backward(Model *model, int flight, const Batch *batch, int64_t step, const float *dout, float *grad,
                         float *dx)
{
    Pass *pass = model->pass;
    Keep *keep = &model->keeps[flight];
    const ModelInput input = input_of(batch);
    BatchLoss loss = { 0 };
    memset(grad, 0, (size_t)model_slot_size(model) * sizeof *grad);
    pass->grad = grad;
    if (model->closes && !model->embeds) {
        REQUIRE(has_goals(model, batch));
        loss = find_loss(model, keep, batch);
    } else {
        begin_training(model, batch, step);
        if (model->embeds)
            pool_backward(dout, model->arch->C, pass);
        else if (dout)
            memcpy(stream_of(model), dout, stream_bytes(model));
    }
    if (model->closes || dout)
        model_down(model, keep, &input);
    pass->grad = NULL;
    if (dx)
        memcpy(dx, stream_of(model), stream_bytes(model));
    return loss;
}

void model_embed_loss(double *each, float *de, const EmbedBatch *batch, const EmbedConfig *how, float *room)
{
    pool_loss(each, de, batch, how, room);
}

BatchLoss model_train(Model *model, const Batch *batch, const float *values, float *grad, int64_t step)
{
    REQUIRE(values && model->opens && model->closes);
    model_bind(model, values);
    model_forward(model, 0, batch, step, NULL);
    return model_backward(model, 0, batch, step, NULL, grad, NULL);
}

/* ---- prediction ---------------------------------------------------------------------------------- */

static void go_up(Model *model, const Batch *batch, const float *values, bool all)
{
    const ModelInput input = input_of(batch);
    model_begin(model, batch, values, all);
    model->pass->drop = false;
    model_up(model, NULL, &input);
}

void model_give_on(Model *model, const Batch *batch, const float *values, float *out)
{
    go_up(model, batch, values, false);
    give_rows(model, NULL, out);
}

BatchLoss model_predict(Model *model, const Batch *batch, const float *values, float *logits)
{
    Pass *pass = model->pass;
    REQUIRE(model->closes);
    go_up(model, batch, values, logits != NULL);
    if (model->embeds) {
        pool_forward(logits, model->arch->C, pass);
        return (BatchLoss){ 0 };
    }
    if (!model->speaks)
        head_forward(&model->head, NULL, pass);
    if (model->speaks && logits)
        return vocab_head_logits(&model->vocab_head, logits, batch->token_goal, pass);
    if (logits)
        memcpy(logits, pass->logits,
               (size_t)(head_count(&model->head, pass) * model->arch->head.labels) * sizeof *logits);
    return has_goals(model, batch) ? find_loss(model, NULL, batch) : (BatchLoss){ 0 };
}
