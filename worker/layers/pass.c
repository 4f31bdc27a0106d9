#include "worker/layers/pass.h"

#include <string.h>

_Static_assert((int)SITE_COUNT <= (int)SITE_STREAMS, "streams of two layers would meet");

void pass_layout(Pass *pass, Layout *layout, const PassSizes *sizes)
{
    const int64_t N = sizes->most_tokens, B = sizes->most_sequences, C = sizes->C;
    pass->x = layout_floats(layout, N * C);
    pass->y = layout_floats(layout, N * C);
    pass->o = layout_floats(layout, N * C);
    pass->g = layout_floats(layout, N * sizes->wide);
    pass->row_a = layout_floats(layout, B * C);
    pass->row_b = layout_floats(layout, B * C);
    pass->lse = layout_floats(layout, N * sizes->H);
    pass->lora = layout_floats(layout, N * sizes->most_R);
    pass->dropped = layout_floats(layout, N * sizes->dropped_in);
    pass->keys = layout_take(layout, (size_t)B * sizeof(RngKey));
    pass->first_start = layout_take(layout, (size_t)(B + 1) * sizeof(int64_t));
    pass->attention = layout_take(layout, sizes->attention);
    for (int64_t b = 0; pass->first_start && b <= B; b++)
        pass->first_start[b] = b;
}

Dropout pass_dropout(Pass *pass, int64_t layer, Site site, double p)
{
    if (!pass->drop || p <= 0)
        return (Dropout){ 0 };
    for (int64_t b = 0; b < pass->rows.B; b++)
        pass->keys[b] = rng_key(pass->seed, pass->step, pass->example[b],
                                (uint32_t)(layer * SITE_STREAMS + (int64_t)site));
    return (Dropout){ .p = (float)p, .keys = pass->keys };
}

void pass_gather(const Pass *pass, float *x, const float *full, int64_t ld, int64_t C)
{
    for (int64_t b = 0; b < pass->rows.B; b++)
        memcpy(x + b * C, full + pass->rows.start[b] * ld, (size_t)C * sizeof(float));
}

void pass_scatter(const Pass *pass, float *full, int64_t ld, const float *x, int64_t C)
{
    for (int64_t b = 0; b < pass->rows.B; b++)
        memcpy(full + pass->rows.start[b] * ld, x + b * C, (size_t)C * sizeof(float));
}

void pass_scatter_add(const Pass *pass, float *full, int64_t ld, const float *x, int64_t C)
{
    for (int64_t b = 0; b < pass->rows.B; b++) {
        float *row = full + pass->rows.start[b] * ld;
        for (int64_t c = 0; c < C; c++)
            row[c] += x[b * C + c];
    }
}
