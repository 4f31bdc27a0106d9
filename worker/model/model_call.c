/* DESIGN. A call binds the values, takes the micro-batch's rows, and runs the layers up and down. What backward needs
 * of a forward is in the keep; all else that a call leaves behind is scratch. */
#include "worker/model/model.h"

#include "worker/layers/pool.h"
#include "worker/model/again.h"
#include "worker/model/encoder.h"
#include "worker/model/model_parts.h"
#include "worker/model/scores.h"

#include <string.h>

int64_t model_longest(const Batch *batch)
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
        } else if (all || rows == READ_MEAN || rows == READ_ALL) {
            pass->read_first[b] = 0;
            pass->read_end[b] = T;
        } else {
            read_labelled(pass, batch, b);
        }
    }
    pass_read(pass);
}

/* Rows of the position table. Where padding stands, only tokens that are no padding are counted; it has
 * the row before (Transformers, create_position_ids_from_input_ids), and so has padding behind a sequence where the
 * table has a row for it. */
void model_find_places(Model *model, const Batch *batch)
{
    const int64_t offset = model->arch->position_offset;
    int32_t *places = model->pass->places;
    for (int64_t b = 0; places && b < batch->B; b++) {
        int32_t next = (int32_t)offset;
        for (int64_t n = batch->start[b]; n < batch->start[b + 1]; n++) {
            const bool behind = batch->real && offset > 0 && n - batch->start[b] >= batch->real[b];
            const bool padding = behind || (model->arch->padding_stands && batch->ids[n] == model->arch->pad_id);
            places[n] = padding ? (int32_t)offset - 1 : next++;
        }
    }
}

void model_bind(Model *model, const float *values)
{
    model->pass->values = values;
    scores_bind(model);
    distances_bind(&model->distances, model->pass);
    if (model->first == 0)
        conv_bind(&model->conv, values);
    if (model->opens)
        embedding_bind(&model->embedding, values);
    if (model->encoder.layers > 0) {
        embedding_bind(&model->encoder.embedding, values);
        norm_bind(&model->encoder.final, values);
    }
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

void model_take_rows(Model *model, const Batch *batch)
{
    const ModelOptions *o = &model->options;
    Pass *pass = model->pass;
    pass->rows = (Rows){ .B = batch->B, .N = batch->N, .longest = model_longest(batch), .start = batch->start };
    REQUIRE(batch->B > 0 && batch->B <= o->most_sequences && batch->N <= o->most_tokens);
    REQUIRE(batch->start[0] == 0 && batch->start[batch->B] == batch->N);
    REQUIRE(pass->rows.longest <= o->longest);
    pass->batch_longest = batch->longest;
    pass->real = batch->real;
    pass->example = batch->example;
}

/* The micro-batch's rows, and those of them that the head reads. */
static void take_batch(Model *model, const Batch *batch, bool all)
{
    model_take_rows(model, batch);
    choose_reads(model, batch, all);
    model_find_places(model, batch);
}

void model_begin(Model *model, const Batch *batch, const float *values, bool all)
{
    take_batch(model, batch, all);
    model_bind(model, values);
}

static ModelInput input_of(const Model *model, const Batch *batch)
{
    const int32_t *types = model->options.untyped ? NULL : batch->types;
    return (ModelInput){ { .ids = batch->ids, .types = types, .pixels = batch->pixels }, batch->rows };
}

/* The next one's first norm, or the final one; at a boundary nothing. */
BlockCall model_block_call(const Model *model, Keep *keep, int64_t layer)
{
    const int64_t last = model->arch->layers - 1;
    const bool reads = layer + 1 == model->encoder.layers;
    BlockCall call = { .keep = keep ? &keep->blocks[layer] : NULL, .tail = layer == last && !model->pass->lanes };
    if (layer == last) {
        call.next = model->ends ? &model->final : NULL;
        call.next_keep = keep ? &keep->final : NULL;
    } else if (reads) {
        call.next = model->encoder.ends ? &model->encoder.final : NULL;
        call.next_keep = keep ? &keep->source_final : NULL;
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

int64_t model_first_block(const Model *model)
{
    return model->encoder.layers > 0 ? model->encoder.layers : model->first;
}

/* The rows that the head reads, or their gradient, with the mask of what stands behind the final norm. */
static void drop_final(Model *model)
{
    const ModelArch *arch = model->arch;
    Pass *pass = model->pass;
    if (model->closes)
        pass_drop(pass, pass->x, &pass->reads, arch->C, arch->layers, SITE_FINAL, arch->final_dropout);
}

void model_up(Model *model, Keep *keep, const ModelInput *input)
{
    if (model->encoder.layers > 0 && !model->pass->lanes)
        encoder_up(model, keep);
    if (model->opens)
        embedding_forward(&model->embedding, keep ? &keep->embedding : NULL, &input->embedding, model->pass);
    else
        take_rows(model, input->rows);
    for (int64_t l = model_first_block(model); l < model->end; l++) {
        const BlockCall call = model_block_call(model, keep, l);
        if (keep)
            again_note(model, keep, l);
        if (l == 0)
            conv_take(&model->conv, keep ? &keep->conv : NULL, model->pass);
        block_forward(&model->blocks[l], &call, model->pass);
        if (l == 0)
            conv_forward(&model->conv, keep ? &keep->conv : NULL, model->pass);
    }
    drop_final(model);
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
    const int64_t first = model_first_block(model);
    if (model->encoder.layers > 0)
        encoder_resume(model, keep);
    drop_final(model);
    if (model->closes && model->ends && model->below)
        norm_pull(&model->final, &keep->final, pass->r, pass->x, NULL, &pass->reads, pass);
    distances_zero(&model->distances);
    if (pass->dadded)
        memset(pass->dadded, 0, (size_t)(model->arch->H * pass->added_width) * sizeof *pass->dadded);
    for (int64_t l = model->end - 1; l >= first; l--) {
        BlockCall call = model_block_call(model, keep, l);
        call.input = l > first ? outlet_of(model, keep, l - 1) : first_inlet(model, keep, input);
        again_compute(model, keep, l);
        if (l == 0)
            conv_backward(&model->conv, &keep->conv, pass);
        block_backward(&model->blocks[l], &call, pass);
        if (l == 0)
            conv_give(&model->conv, &keep->conv, pass);
    }
    distances_backward(&model->distances, pass);
    if (pass->dadded)
        scores_pull(model);
    if (model->opens && embedding_is_trained(&model->embedding))
        embedding_backward(&model->embedding, &keep->embedding, &input->embedding, pass);
    if (model->encoder.layers > 0)
        encoder_down(model, keep);
}

static bool has_goals(const Model *model, const Batch *batch)
{
    return model->arch->head.rows == READ_LABELLED ? batch->token_goal != NULL : batch->goal != NULL;
}

/* ---- training ---------------------------------------------------------------------------------- */

/* Of the boundary before a block. */
static int64_t width_at(const Model *model, int64_t block)
{
    const bool again = model->options.training && block_needs_input(&model->blocks[block]);
    return again ? 2 * model->arch->C : model->arch->C;
}

int64_t model_width_in(const Model *model)
{
    if (model->opens)
        return 0;
    return width_at(model, model->first);
}

int64_t model_width_out(const Model *model)
{
    if (model->closes)
        return 0;
    return width_at(model, model->end);
}

bool model_is_pulled(const Model *model)
{
    return model->options.training && !model->closes && model->below_end;
}

bool model_pulls(const Model *model)
{
    return model->options.training && !model->opens && model->below_first;
}

static void begin_training(Model *model, const Batch *batch, int64_t step)
{
    Pass *pass = model->pass;
    take_batch(model, batch, false);
    pass->drop = true;
    pass->seed = model->options.seed;
    pass->step = step;
}

void model_give(Model *model, Keep *keep, float *out)
{
    Pass *pass = model->pass;
    memcpy(out, stream_of(model), stream_bytes(model));
    if (keep && block_needs_input(&model->blocks[model->end])) {
        const Inlet outlet = outlet_of(model, keep, model->end - 1);
        inlet_restore(&outlet, out + pass->rows.N * model->arch->C, &pass->rows, pass);
    }
}

void model_forward(Model *model, int flight, const Batch *given, int64_t step, float *out)
{
    const Batch *batch = encoder_part(model, given);
    REQUIRE(model->options.training && flight >= 0 && flight < (model->options.flights ? model->options.flights : 1));
    REQUIRE((!model->closes || model->embeds) == (out != NULL) && !model->opens == (batch->rows != NULL));
    Keep *keep = &model->keeps[flight];
    const ModelInput input = input_of(model, batch);
    begin_training(model, batch, step);
    model_up(model, keep, &input);
    if (out && model->closes)
        pool_forward(out, model->arch->C, model->pass);
    else if (out)
        model_give(model, keep, out);
    else if (!model->speaks)
        head_forward(&model->head, &keep->head, model->pass);
}

BatchLoss model_backward(Model *model, int flight, const Batch *given, int64_t step, const float *dout, float *grad,
                         float *dx)
{
    const Batch *batch = encoder_part(model, given);
    Pass *pass = model->pass;
    Keep *keep = &model->keeps[flight];
    const ModelInput input = input_of(model, batch);
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
    const ModelInput input = input_of(model, batch);
    model_begin(model, batch, values, all);
    model->pass->drop = false;
    model_up(model, NULL, &input);
}

void model_give_on(Model *model, const Batch *batch, const float *values, float *out)
{
    go_up(model, batch, values, false);
    model_give(model, NULL, out);
}

BatchLoss model_predict(Model *model, const Batch *given, const float *values, float *logits)
{
    const Batch *batch = encoder_part(model, given);
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
