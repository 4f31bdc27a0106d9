#include "worker/layers/pass.h"

#include <string.h>

void pass_layout(Pass *pass, Layout *layout, const PassSizes *sizes)
{
    pass->longest = sizes->longest;
    const int64_t N = sizes->most_tokens, B = sizes->most_sequences, W = sizes->across;
    pass->x = layout_floats(layout, N * W);
    pass->y = layout_floats(layout, N * W);
    pass->o = layout_floats(layout, N * W);
    pass->r = layout_floats_if(layout, sizes->stream, N * W);
    pass->side = layout_floats_if(layout, sizes->side, N * W);
    pass->aside = layout_floats_if(layout, sizes->again, N * W);
    pass->g = layout_floats(layout, N * sizes->wide);
    pass->pre = layout_floats_if(layout, sizes->pre > 0, N * sizes->pre);
    pass->row_a = layout_floats(layout, sizes->most_read * W);
    pass->row_b = layout_floats(layout, sizes->most_read * W);
    pass->lse = layout_floats(layout, N * sizes->H);
    pass->lora = layout_floats(layout, N * sizes->most_R);
    pass->lora_room = N * sizes->most_R;
    pass->dropped = layout_floats(layout, N * sizes->dropped_in);
    pass->da = layout_floats_if(layout, sizes->da > 0, sizes->da);
    pass->unpacked = layout_floats_if(layout, sizes->unpacked > 0, sizes->unpacked);
    pass->logits = layout_floats_if(layout, sizes->labels > 0, sizes->most_read * sizes->labels);
    pass->classes = sizes->labels > 0 ? layout_take(layout, (size_t)sizes->most_read * sizeof(int32_t)) : NULL;
    pass->keys = layout_take(layout, (size_t)B * sizeof(RngKey));
    pass->read_start = layout_take(layout, (size_t)(B + 1) * sizeof(int64_t));
    pass->read_first = layout_take(layout, (size_t)B * sizeof(int64_t));
    pass->read_end = layout_take(layout, (size_t)B * sizeof(int64_t));
    pass->places = sizes->places ? layout_take(layout, (size_t)N * sizeof(int32_t)) : NULL;
    pass->attention = layout_take(layout, sizes->attention);
}

void pass_exchange(float **a, float **b)
{
    float *held = *a;
    *a = *b;
    *b = held;
}

void pass_read(Pass *pass)
{
    const int64_t B = pass->rows.B;
    int64_t longest = 0;
    pass->read_start[0] = 0;
    for (int64_t b = 0; b < B; b++) {
        const int64_t count = pass->read_end[b] - pass->read_first[b];
        pass->read_start[b + 1] = pass->read_start[b] + count;
        longest = count > longest ? count : longest;
    }
    pass->reads = (Rows){ .B = B, .N = pass->read_start[B], .longest = longest, .start = pass->read_start };
}

Dropout pass_dropout(Pass *pass, int64_t layer, Site site, double p)
{
    if (!pass->drop || p <= 0)
        return (Dropout){ 0 };
    for (int64_t b = 0; b < pass->rows.B; b++)
        pass->keys[b] = rng_key(pass->seed, pass->step, pass->example[b], site_stream(layer, site));
    return (Dropout){ .p = (float)p, .keys = pass->keys };
}

void pass_drop(Pass *pass, float *x, const Rows *rows, int64_t C, int64_t layer, Site site, double p)
{
    const Dropout dropout = pass_dropout(pass, layer, site, p);
    if (dropout.p > 0)
        kernels->dropout_apply(x, x, rows, dropout, C);
}

void pass_clear_padding(const Pass *pass, float *x, int64_t C)
{
    const Rows *rows = &pass->rows;
    for (int64_t b = 0; pass->real && b < rows->B; b++) {
        const int64_t from = rows->start[b] + pass->real[b];
        memset(x + from * C, 0, (size_t)((rows->start[b + 1] - from) * C) * sizeof *x);
    }
}

void pass_scale(float *y, const float *x, float factor, int64_t n)
{
#pragma omp parallel for simd
    for (int64_t i = 0; i < n; i++)
        y[i] = factor * x[i];
}

/* Sequence b's first read row among all rows, and how many follow. */
static int64_t first_row(const Pass *pass, int64_t b)
{
    return pass->rows.start[b] + pass->read_first[b];
}
static int64_t row_count(const Pass *pass, int64_t b)
{
    return pass->read_end[b] - pass->read_first[b];
}

void pass_gather(const Pass *pass, float *x, const float *full, int64_t ld, int64_t C)
{
    for (int64_t b = 0; b < pass->rows.B; b++) {
        const float *from = full + first_row(pass, b) * ld;
        float *to = x + pass->read_start[b] * C;
        for (int64_t i = 0; i < row_count(pass, b); i++)
            memcpy(to + i * C, from + i * ld, (size_t)C * sizeof(float));
    }
}

void pass_scatter(const Pass *pass, float *full, int64_t ld, const float *x, int64_t C)
{
    for (int64_t b = 0; b < pass->rows.B; b++) {
        float *to = full + first_row(pass, b) * ld;
        const float *from = x + pass->read_start[b] * C;
        for (int64_t i = 0; i < row_count(pass, b); i++)
            memcpy(to + i * ld, from + i * C, (size_t)C * sizeof(float));
    }
}

void pass_scatter_add(const Pass *pass, float *full, int64_t ld, const float *x, int64_t C)
{
    for (int64_t b = 0; b < pass->rows.B; b++) {
        for (int64_t i = 0; i < row_count(pass, b); i++) {
            float *to = full + (first_row(pass, b) + i) * ld;
            const float *from = x + (pass->read_start[b] + i) * C;
            for (int64_t c = 0; c < C; c++)
                to[c] += from[c];
        }
    }
}

void pass_spread(const Pass *pass, float *full, const float *x, int64_t C)
{
    memset(full, 0, (size_t)(pass->rows.N * C) * sizeof(float));
    pass_scatter(pass, full, C, x, C);
}
