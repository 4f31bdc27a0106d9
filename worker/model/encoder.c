#include "worker/model/encoder.h"

#include "worker/model/again.h"

#include <string.h>

static void part_layout(StackPart *part, Layout *layout, const PassSizes *sizes)
{
    part->start = layout_take(layout, (size_t)(sizes->most_sequences + 1) * sizeof(int64_t));
    part->ids = layout_take(layout, (size_t)sizes->most_tokens * sizeof(int32_t));
    part->goal = layout_take(layout, (size_t)sizes->most_tokens * sizeof(int32_t));
}

void encoder_layout(Encoder *encoder, Layout *layout, const Model *model)
{
    const int64_t room = model->sizes.most_tokens * model->arch->C;
    part_layout(&encoder->read, layout, &model->sizes);
    part_layout(&encoder->written, layout, &model->sizes);
    embedding_layout(&encoder->embedding, layout, &model->sizes);
    norm_layout(&encoder->final, layout);
    encoder->memory = layout_floats(layout, room);
    encoder->dmemory = layout_floats_if(layout, model->options.training && encoder->below, room);
}

/* ---- two parts --------------------------------------------------------------------------- */

static void add(StackPart *part, const Batch *batch, int64_t b, int64_t from, int64_t end)
{
    const size_t n = (size_t)(end - from);
    const int64_t at = part->start[b];
    part->start[b + 1] = at + (int64_t)n;
    memcpy(part->ids + at, batch->ids + from, n * sizeof *part->ids);
    if (batch->token_goal)
        memcpy(part->goal + at, batch->token_goal + from, n * sizeof *part->goal);
}

static void close_part(StackPart *part, const Batch *batch)
{
    part->batch = (Batch){ .B = batch->B,
                           .N = part->start[batch->B],
                           .start = part->start,
                           .ids = part->ids,
                           .example = batch->example,
                           .token_goal = batch->token_goal ? part->goal : NULL };
}

const Batch *encoder_part(Model *model, const Batch *batch)
{
    Encoder *encoder = &model->encoder;
    if (encoder->layers == 0)
        return batch;
    REQUIRE(batch->types && batch->B <= model->options.most_sequences && batch->N <= model->options.most_tokens);
    encoder->read.start[0] = encoder->written.start[0] = 0;
    for (int64_t b = 0; b < batch->B; b++) {
        int64_t border = batch->start[b];
        while (border < batch->start[b + 1] && batch->types[border] == 0)
            border++;
        REQUIRE(border > batch->start[b] && border < batch->start[b + 1]);
        add(&encoder->read, batch, b, batch->start[b], border);
        add(&encoder->written, batch, b, border, batch->start[b + 1]);
    }
    close_part(&encoder->read, batch);
    close_part(&encoder->written, batch);
    return &encoder->written.batch;
}

/* ---- up and down --------------------------------------------------------------------------- */

/* What stands behind the final norm, of rows or of their gradient. */
static void drop_final(const Model *model, float *x)
{
    Pass *pass = model->pass;
    pass_drop(pass, x, &pass->rows, model->arch->C, model->encoder.embedding.layer, SITE_FINAL,
              model->arch->final_dropout);
}

/* The sources' rows are those of the pass while their stack runs. */
static void turn_to(Model *model, const Batch *batch, const Table *positions)
{
    Pass *pass = model->pass;
    model_take_rows(model, batch);
    if (positions->module.out > 0)
        model_find_places(model, batch);
    pass->memory_rows = pass->rows;
}

static void read_up(Model *model, Keep *keep, const Batch *batch, float *memory)
{
    Encoder *encoder = &model->encoder;
    Pass *pass = model->pass;
    const EmbeddingInput input = { .ids = batch->ids };
    turn_to(model, batch, &encoder->embedding.position);
    embedding_forward(&encoder->embedding, keep ? &keep->source : NULL, &input, pass);
    for (int64_t l = 0; l < encoder->layers; l++) {
        const BlockCall call = model_block_call(model, keep, l);
        if (keep)
            again_note(model, keep, l);
        block_forward(&model->blocks[l], &call, pass);
    }
    memcpy(memory, pass->x, (size_t)(pass->rows.N * model->arch->C) * sizeof *memory);
    drop_final(model, memory);
    pass->memory = memory;
    pass->normed = false;
}

void encoder_up(Model *model, Keep *keep)
{
    Encoder *encoder = &model->encoder;
    read_up(model, keep, &encoder->read.batch, keep ? keep->memory : encoder->memory);
    model_take_rows(model, &encoder->written.batch);
    model_find_places(model, &encoder->written.batch);
}

void encoder_resume(Model *model, const Keep *keep)
{
    Pass *pass = model->pass;
    const Batch *batch = &model->encoder.read.batch;
    pass->memory_rows = (Rows){ .B = batch->B, .N = batch->N, .longest = model_longest(batch), .start = batch->start };
    pass->memory = keep->memory;
    pass->dmemory = model->encoder.dmemory;
    if (pass->dmemory)
        memset(pass->dmemory, 0, (size_t)(batch->N * model->arch->C) * sizeof(float));
}

void encoder_down(Model *model, Keep *keep)
{
    Encoder *encoder = &model->encoder;
    Pass *pass = model->pass;
    const int64_t C = model->arch->C;
    const EmbeddingInput input = { .ids = encoder->read.batch.ids };
    if (!encoder->below)
        return;
    turn_to(model, &encoder->read.batch, &encoder->embedding.position);
    memcpy(pass->x, encoder->dmemory, (size_t)(pass->rows.N * C) * sizeof(float));
    drop_final(model, pass->x);
    if (encoder->ends)
        norm_pull(&encoder->final, &keep->source_final, pass->r, pass->x, NULL, &pass->rows, pass);
    for (int64_t l = encoder->layers - 1; l >= 0; l--) {
        BlockCall call = model_block_call(model, keep, l);
        call.input = l > 0 ? block_outlet(&model->blocks[l - 1], &keep->blocks[l - 1])
                           : embedding_outlet(&encoder->embedding, &keep->source);
        again_compute(model, keep, l);
        block_backward(&model->blocks[l], &call, pass);
    }
    if (embedding_is_trained(&encoder->embedding))
        embedding_backward(&encoder->embedding, &keep->source, &input, pass);
}

void encoder_read(Model *model, const int32_t *ids, int64_t count)
{
    static const int64_t example = 0;
    StackPart *part = &model->encoder.read;
    const Batch batch = { .B = 1, .N = count, .start = part->start, .ids = part->ids, .example = &example };
    part->start[0] = 0;
    part->start[1] = count;
    memcpy(part->ids, ids, (size_t)count * sizeof *ids);
    struct Lanes *lanes = model->pass->lanes;
    model->pass->lanes = NULL; /* a source is read whole, beside what lanes hold */
    read_up(model, NULL, &batch, model->encoder.memory);
    model->pass->lanes = lanes;
}
