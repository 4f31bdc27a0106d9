#include "worker/layers/segments.h"

int64_t segments_turned(int64_t out)
{
    return out / kernels->lanes * kernels->lanes;
}

/* Rows that all have the LoRA. u: room for [N, R]. */
static void add(float *y, int64_t ldy, const float *x, const ModuleLora *lora, const ModuleView *module, int64_t N,
                const Pass *pass)
{
    const int64_t R = lora->R, in = module->in, out = module->out, whole = segments_turned(out);
    float *u = pass->lora;
    pass_product(pass)(u, R, x, in, lora->a, in, N, R, in, 1, 0);
    if (whole > 0)
        kernels->tile_product(y, ldy, (TileLeft){ u, R, 1 }, lora->turned, whole, N, whole, R, true);
    if (out > whole)
        pass_product(pass)(y + whole, ldy, u, R, lora->b + whole * R, R, N, out - whole, R, lora->scale, 1);
}

void segments_add(float *y, int64_t ldy, const float *x, const Rows *rows, const ModuleView *module, Pass *pass)
{
    for (int64_t s = 0; s < pass->segment_count; s++) {
        const RowSegment *segment = &pass->segments[s];
        const ModuleLora *lora = segment->modules ? &segment->modules[module->index] : NULL;
        if (!lora || lora->R == 0)
            continue;
        const int64_t end = rows->start[segment->end], most = pass->lora_room / lora->R;
        REQUIRE(most > 0);
        for (int64_t n = rows->start[segment->first]; n < end; n += most)
            add(y + n * ldy, ldy, x + n * module->in, lora, module, end - n < most ? end - n : most, pass);
    }
}
