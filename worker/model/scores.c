#include "worker/model/scores.h"

#include <stdlib.h>
#include <string.h>

void scores_layout(Model *model, Layout *layout)
{
    const ModelArch *arch = model->arch;
    const bool by_table = arch_module(arch, -1, ROLE_SCORE_TABLE) != NULL, by_distance = by_table || arch->buckets > 0;
    const int sets = arch->buckets > 0 ? ADDED_SETS : by_distance || arch->alibi != ALIBI_NONE ? 1 : 0;
    model->room.added_width = by_distance ? 2 * model->sizes.longest - 1 : model->sizes.longest;
    for (int set = 0; set < sets; set++)
        model->room.added[set] = model->added[set] = layout_floats(layout, arch->H * model->room.added_width);
    model->room.by_distance = by_distance;
    const bool trains = by_table && model->options.training && module_is_trained(&model->score_table);
    model->room.dadded = layout_floats_if(layout, trains, arch->H * model->room.added_width);
    model->score_rows = by_table ? layout_take(layout, (size_t)model->room.added_width * sizeof(int32_t)) : NULL;
}

/* Of the distances that heads know, for each of T places before and behind a query. */
static void fill_distances(const Model *model, float *to, int set, int64_t T)
{
    const ModelArch *arch = model->arch;
    const int64_t first = set == 0 ? 0 : arch->source_layers, H = arch->H;
    const int module = arch_module_index(arch, (int)first, ROLE_BUCKETS);
    const float *table = weights_weight(model->weights, module);
    for (int64_t d = 1 - T; d < T; d++) {
        const int64_t bucket = arch_bucket(arch, arch_is_source(arch, first), d);
        for (int64_t h = 0; h < H; h++)
            to[h * (2 * T - 1) + d + T - 1] = table[bucket * H + h];
    }
}

static float bf16_rounded(float x)
{
    const uint32_t bits = (uint32_t)tensor_bf16(x) << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Of a key d behind the query, below 0 before it. */
static void fill_rows(Model *model)
{
    const int64_t T = model->sizes.longest;
    for (int64_t d = 1 - T; model->score_rows && d < T; d++)
        model->score_rows[T - 1 + d] = (int32_t)arch_score_row(model->arch, d);
}

/* Of head h and key j: slope j; rounded, as Falcon's code has it even where all else is float32. */
static void fill_alibi(Model *model)
{
    const ModelArch *arch = model->arch;
    const int64_t T = model->sizes.longest;
    float *slopes = xmalloc((size_t)arch->H * sizeof *slopes);
    arch_alibi_slopes(arch, slopes);
    for (int64_t i = 0; i < arch->H * T; i++) {
        const float slope = slopes[i / T], j = (float)(i % T);
        model->added[0][i] =
            arch->alibi == ALIBI_PLAIN ? slope * j : bf16_rounded(bf16_rounded(slope) * j) * (float)arch->scales[0];
    }
    free(slopes);
}

void scores_fill(Model *model)
{
    const ModelArch *arch = model->arch;
    if (arch->alibi != ALIBI_NONE)
        fill_alibi(model);
    for (int set = 0; arch->buckets > 0 && set < ADDED_SETS; set++)
        fill_distances(model, model->added[set], set, model->sizes.longest);
    fill_rows(model);
}

/* In the base's pass; filled anew when values are bound. */
void scores_beside(Model *model, const Model *base)
{
    model->score_rows = base->score_rows;
    model->added[0] = base->added[0];
    distances_fill(&model->distances);
}

/* What heads add to scores, by distance. */
void scores_bind(Model *model)
{
    if (!model->score_rows)
        return;
    const int64_t H = model->arch->H, width = model->pass->added_width;
    const float *rows = module_floats(&model->score_table, model->pass->values);
    for (int64_t h = 0; h < H; h++)
        for (int64_t d = 0; d < width; d++)
            model->added[0][h * width + d] = rows[model->score_rows[d] * H + h];
}

/* The gradient of what heads add, by layers, -> of the table's rows. */
void scores_pull(const Model *model)
{
    const int64_t H = model->arch->H, width = model->pass->added_width;
    float *to = module_grad(model->pass->grad, model->score_table.weight_at);
    for (int64_t d = 0; to && d < width; d++)
        for (int64_t h = 0; h < H; h++)
            to[model->score_rows[d] * H + h] += model->pass->dadded[h * width + d];
}
