#include "worker/model/again.h"

#include <string.h>

/* The next block makes its input from this one's last norm. */
static bool is_read_again(const Model *model, int64_t layer)
{
    return model_goes_on(model, layer) && block_needs_input(&model->blocks[layer + 1]);
}

/* Rows of the last norms lie by themselves, as the next block's backward comes before this one is computed again. */
static void lay_out_block(Keep *keep, const Model *model, Layout *layout, const PassSizes *sizes, int64_t layer,
                          const NormKeep *outlet)
{
    const Block *block = &model->blocks[layer];
    const bool above = is_read_again(model, layer);
    block_keep_layout(&keep->blocks[layer], block, layout, sizes, layer + 1 == model->arch->layers, above);
    if (outlet->xhat)
        keep->blocks[layer].sublayers[block->count - 1].norm = *outlet;
}

void again_layout(Keep *keep, const Model *model, Layout *layout, const PassSizes *sizes, int64_t first, int64_t end)
{
    Shared shared;
    NormKeep *outlets = xcalloc((size_t)model->arch->layers, sizeof *outlets);
    for (int64_t l = first; l + 1 < end; l++) {
        const Block *block = &model->blocks[l];
        keep->inputs[l] = layout_floats_if(layout, block_is_needed(block), sizes->most_tokens * block->C);
        if (block_keeps_outlet(block, is_read_again(model, l)))
            norm_keep_layout(&outlets[l], &block->sublayers[block->count - 1].norm, layout, sizes->most_tokens);
    }
    shared = layout_share(layout);
    for (int64_t l = first; l < end; l++) {
        layout_again(layout, &shared);
        lay_out_block(keep, model, layout, sizes, l, &outlets[l]);
    }
    layout_end(layout, &shared);
    free(outlets);
}

/* The buffer of the stream between blocks: sums of a pre-norm model, else the norms' outputs. */
static float **stream_of(const Model *model)
{
    return model->arch->pre_norm ? &model->pass->r : &model->pass->x;
}

static size_t stream_bytes(const Model *model)
{
    return (size_t)(model->pass->rows.N * model->arch->C) * sizeof(float);
}

void again_note(const Model *model, Keep *keep, int64_t layer)
{
    if (keep->inputs && keep->inputs[layer])
        memcpy(keep->inputs[layer], *stream_of(model), stream_bytes(model));
}

void again_compute(const Model *model, Keep *keep, int64_t layer)
{
    Pass *pass = model->pass;
    const BlockCall call = { .keep = &keep->blocks[layer], .again = true };
    if (!keep->inputs || !keep->inputs[layer])
        return;
    pass_exchange(stream_of(model), &pass->aside);
    memcpy(*stream_of(model), keep->inputs[layer], stream_bytes(model));
    pass->normed = false;
    block_forward(&model->blocks[layer], &call, pass);
    pass_exchange(stream_of(model), &pass->aside);
}
