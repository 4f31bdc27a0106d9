/* DESIGN. A call binds the values, takes the micro-batch's rows, and runs the layers up and down. What backward needs
 * of a forward is in the keep; all else that a call leaves behind is scratch. */
#include "worker/model/model.h"

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
        if (model->arch->head.rows == READ_LAST) {
            pass->read_first[b] = last_word(model->arch, batch->ids + batch->start[b], T);
            pass->read_end[b] = pass->read_first[b] + 1;
        } else if (model->arch->head.rows != READ_LABELLED) {
            pass->read_first[b] = 0;
            pass->read_end[b] = 1;
        } else if (all) {
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

void model_bind(Model *model, const float *values)
{
    model->pass->values = values;
    embedding_bind(&model->embedding, values);
    for (int64_t l = 0; l < model->arch->layers; l++)
        block_bind(&model->blocks[l], values);
    if (model->speaks)
        vocab_head_bind(&model->vocab_head, values);
    else
        head_bind(&model->head, values);
}

void model_begin(Model *model, const Batch *batch, const float *values, bool all)
{
    const ModelOptions *o = &model->options;
    Pass *pass = model->pass;
    pass->rows = (Rows){ .B = batch->B, .N = batch->N, .longest = longest_of(batch), .start = batch->start };
    REQUIRE(batch->B > 0 && batch->B <= o->most_sequences && batch->N <= o->most_tokens);
    REQUIRE(batch->start[0] == 0 && batch->start[batch->B] == batch->N);
    REQUIRE(pass->rows.longest <= o->longest);
    pass->example = batch->example;
    choose_reads(model, batch, all);
    find_places(model, batch);
    model_bind(model, values);
}

static EmbeddingInput embedding_input(const Batch *batch)
{
    return (EmbeddingInput){ .ids = batch->ids, .types = batch->types, .pixels = batch->pixels };
}

/* What a block's last sum meets: the next one's first norm, or the final one. */
static BlockCall call_of(const Model *model, Keep *keep, int64_t layer)
{
    const int64_t last = model->arch->layers - 1;
    BlockCall call = { .keep = keep ? &keep->blocks[layer] : NULL, .tail = layer == last && !model->pass->lanes };
    if (layer == last) {
        call.next = model->ends ? &model->final : NULL;
        call.next_keep = keep ? &keep->final : NULL;
    } else if (!model->apart) {
        call.next = block_first_norm(&model->blocks[layer + 1]);
        call.next_keep = keep ? &keep->blocks[layer + 1].sublayers[0].norm : NULL;
    }
    return call;
}

void model_up(Model *model, Keep *keep, const EmbeddingInput *input)
{
    embedding_forward(&model->embedding, keep ? &keep->embedding : NULL, input, model->pass);
    for (int64_t l = 0; l < model->arch->layers; l++) {
        const BlockCall call = call_of(model, keep, l);
        block_forward(&model->blocks[l], &call, model->pass);
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

void model_down(Model *model, Keep *keep, const EmbeddingInput *input)
{
    Pass *pass = model->pass;
    if (model->ends && model->below)
        norm_pull(&model->final, &keep->final, pass->r, pass->x, NULL, &pass->reads, pass);
    for (int64_t l = model->arch->layers - 1; l >= 0; l--) {
        BlockCall call = call_of(model, keep, l);
        call.input = l > 0 ? block_outlet(&model->blocks[l - 1], &keep->blocks[l - 1])
                           : embedding_outlet(&model->embedding, &keep->embedding);
        block_backward(&model->blocks[l], &call, pass);
    }
    if (embedding_is_trained(&model->embedding))
        embedding_backward(&model->embedding, &keep->embedding, input, pass);
}

static bool has_goals(const Model *model, const Batch *batch)
{
    return model->arch->head.rows == READ_LABELLED ? batch->token_goal != NULL : batch->goal != NULL;
}

BatchLoss model_train(Model *model, const Batch *batch, const float *values, float *grad, int64_t step)
{
    REQUIRE(model->options.training && values && has_goals(model, batch));
    Pass *pass = model->pass;
    memset(grad, 0, (size_t)model->table->size * sizeof *grad);
    model_begin(model, batch, values, false);
    pass->drop = true;
    pass->seed = model->options.seed;
    pass->step = step;
    const EmbeddingInput input = embedding_input(batch);
    model_up(model, &model->keep, &input);
    if (!model->speaks)
        head_forward(&model->head, &model->keep.head, pass);
    pass->grad = grad;
    const BatchLoss loss = find_loss(model, &model->keep, batch);
    model_down(model, &model->keep, &input);
    pass->grad = NULL;
    return loss;
}

BatchLoss model_predict(Model *model, const Batch *batch, const float *values, float *logits)
{
    Pass *pass = model->pass;
    model_begin(model, batch, values, logits != NULL);
    pass->drop = false;
    const EmbeddingInput input = embedding_input(batch);
    model_up(model, NULL, &input);
    if (!model->speaks)
        head_forward(&model->head, NULL, pass);
    if (model->speaks && logits)
        return vocab_head_logits(&model->vocab_head, logits, batch->token_goal, pass);
    if (logits)
        memcpy(logits, pass->logits, (size_t)(pass->reads.N * model->arch->head.labels) * sizeof *logits);
    return has_goals(model, batch) ? find_loss(model, NULL, batch) : (BatchLoss){ 0 };
}
