/* keep - what a forward leaves for its backward: where it lies. */
#include "worker/model/again.h"
#include "worker/model/model_parts.h"

#include <stdlib.h>

/* The parts of a keep, for one micro-batch. */
static void keep_layout(Keep *keep, const Model *model, Layout *layout)
{
    const PassSizes *sizes = &model->sizes;
    const int64_t layers = model->arch->layers;
    if (model->opens)
        embedding_keep_layout(&keep->embedding, &model->embedding, layout, sizes,
                              embedding_is_trained(&model->embedding) ||
                                  block_needs_input(&model->blocks[model->encoder.layers]));
    if (model->encoder.layers > 0) {
        const Encoder *encoder = &model->encoder;
        embedding_keep_layout(&keep->source, &encoder->embedding, layout, sizes,
                              embedding_is_trained(&encoder->embedding) || block_needs_input(&model->blocks[0]));
        if (encoder->ends && encoder->below)
            norm_keep_layout(&keep->source_final, &encoder->final, layout, sizes->most_tokens);
        keep->memory = layout_floats(layout, sizes->most_tokens * encoder->final.C);
    }
    if (model->first == 0)
        conv_keep_layout(&keep->conv, &model->conv, layout, sizes);
    if (keep->inputs)
        again_layout(keep, model, layout, sizes, model->first, model->end);
    for (int64_t l = model->first; !keep->inputs && l < model->end; l++) {
        const bool above = model_goes_on(model, l) && block_needs_input(&model->blocks[l + 1]);
        block_keep_layout(&keep->blocks[l], &model->blocks[l], layout, sizes, l + 1 == layers, above);
    }
    if (!model->closes)
        return;
    if (model->ends && model->below)
        norm_keep_layout(&keep->final, &model->final, layout, sizes->most_read);
    if (!model->speaks)
        head_keep_layout(&keep->head, &model->head, layout, sizes->most_read);
}

static Keep keep_empty(const Model *model)
{
    const size_t layers = (size_t)model->arch->layers;
    return (Keep){ .blocks = xcalloc(layers, sizeof(BlockKeep)),
                   .inputs = model->options.checkpointing ? xcalloc(layers, sizeof(float *)) : NULL };
}

static size_t count(Keep *keep, const Model *model)
{
    Layout layout = { 0 };
    keep_layout(keep, model, &layout);
    return layout.bytes;
}

size_t keep_bytes(const Model *model)
{
    Keep keep = keep_empty(model);
    const size_t bytes = count(&keep, model);
    keep_release(&keep);
    return bytes;
}

bool keep_init(Keep *keep, const Model *model, Err *err)
{
    *keep = keep_empty(model);
    if (!arena_init(&keep->arena, count(keep, model), err)) {
        keep_release(keep);
        return false;
    }
    Layout layout = { .arena = &keep->arena };
    keep_layout(keep, model, &layout);
    return true;
}

void keep_release(Keep *keep)
{
    arena_release(&keep->arena);
    free(keep->blocks);
    free(keep->inputs);
    *keep = (Keep){ 0 };
}
