#include "worker/layers/embedding.h"

#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"

#include <math.h>
#include <string.h>

static bool shows_images(const Embedding *embedding)
{
    return embedding->patches.parts > 0;
}

static bool normalises(const Embedding *embedding)
{
    return embedding->norm.module.out > 0;
}

/* Blocks go on from the norm's output, not from a sum. */
static bool ends_in_norm(const Embedding *embedding)
{
    return normalises(embedding) && !embedding->streams;
}

static bool projects(const Embedding *embedding)
{
    return embedding->project.parts > 0;
}

static bool projects_behind(const Embedding *embedding)
{
    return projects(embedding) && !embedding->project_first;
}

/* Patches of an image. */
static int64_t patch_count(const Embedding *embedding)
{
    const int64_t side = embedding->image_size / embedding->patch;
    return side * side;
}

static bool has_magnitude(const Table *table)
{
    return table->module.magnitude_at >= 0;
}

static void table_keep_layout(TableKeep *keep, const Table *table, Layout *layout, int64_t most_tokens)
{
    keep->u = layout_floats_if(layout, table->module.R > 0, most_tokens * table->module.R);
    keep->z = layout_floats_if(layout, has_magnitude(table), most_tokens * table->module.in);
}

static void table_layout(Table *table, Layout *layout)
{
    if (has_magnitude(table))
        magnitude_layout_table(&table->magnitude, layout, &table->module);
    if (table->module.token_count == 0)
        return;
    table->token_of = layout_take(layout, (size_t)table->module.out * sizeof *table->token_of);
    for (int64_t v = 0; table->token_of && v < table->module.out; v++)
        table->token_of[v] = -1;
    for (int64_t i = 0; table->token_of && i < table->module.token_count; i++)
        table->token_of[table->module.tokens[i]] = (int32_t)i;
}

static void table_bind(Table *table, const float *values)
{
    const bool bound = values && has_magnitude(table);
    if (bound)
        magnitude_bind_table(&table->magnitude, &table->seen, &table->module, values);
    table->c = bound ? table->magnitude.c : NULL;
}

void embedding_keep_layout(EmbeddingKeep *keep, const Embedding *embedding, Layout *layout, const PassSizes *sizes,
                           bool needed)
{
    const int64_t N = sizes->most_tokens;
    if (needed && normalises(embedding))
        norm_keep_layout(&keep->norm, &embedding->norm, layout, N);
    table_keep_layout(&keep->word, &embedding->word, layout, N);
    table_keep_layout(&keep->position, &embedding->position, layout, N);
    table_keep_layout(&keep->type, &embedding->type, layout, N);
    linear_keep_layout(&keep->patches, &embedding->patches, layout, N);
    linear_keep_layout(&keep->project, &embedding->project, layout, N);
    const bool reads_sum = projects(embedding) && embedding->project_first && linear_needs_input(&embedding->project);
    keep->sum = layout_floats_if(layout, reads_sum, N * embedding->C);
    keep->rows = layout_floats_if(layout, needed && projects_behind(embedding), N * embedding->project.out);
}

void embedding_layout(Embedding *embedding, Layout *layout, const PassSizes *sizes)
{
    const int64_t B = sizes->most_sequences;
    norm_layout(&embedding->norm, layout);
    table_layout(&embedding->word, layout);
    table_layout(&embedding->position, layout);
    table_layout(&embedding->type, layout);
    linear_layout(&embedding->project, layout);
    if (!shows_images(embedding))
        return;
    linear_layout(&embedding->patches, layout);
    embedding->patch_start = layout_take(layout, (size_t)(B + 1) * sizeof(int64_t));
    for (int64_t b = 0; embedding->patch_start && b <= B; b++)
        embedding->patch_start[b] = b * patch_count(embedding);
}

void embedding_bind(Embedding *embedding, const float *values)
{
    linear_bind(&embedding->patches, values);
    linear_bind(&embedding->project, values);
    norm_bind(&embedding->norm, values);
    table_bind(&embedding->word, values);
    table_bind(&embedding->position, values);
    table_bind(&embedding->type, values);
}

static int64_t width_of_norm(const Embedding *embedding)
{
    return projects(embedding) && embedding->project_first ? embedding->project.out : embedding->C;
}

/* A table, or what reads patches. */
static bool is_trained_below(const Embedding *embedding)
{
    return (shows_images(embedding) && module_is_trained(&embedding->first)) ||
           module_is_trained(&embedding->word.module) || module_is_trained(&embedding->position.module) ||
           module_is_trained(&embedding->type.module) || linear_is_trained(&embedding->patches);
}

/* Rows behind the norm and its dropout. */
static Inlet norm_outlet(const Embedding *embedding, const EmbeddingKeep *keep)
{
    return (Inlet){
        .norm = &embedding->norm, .keep = &keep->norm, .layer = embedding->layer, .dropout = embedding->dropout
    };
}

static Dropout output_dropout(const Embedding *embedding, Pass *pass)
{
    return pass_dropout(pass, embedding->layer, SITE_EMBED, embedding->dropout);
}

/* ---- forward --------------------------------------------------------------- */

/* y[N,C] += scale (A^T[row]) B^T; u[N,R] receives A^T[row]. */
static void table_lora_forward(const Table *table, float *u, float *y, const int32_t *row, const Pass *pass)
{
    const ModuleView *m = &table->module;
    const int64_t N = pass->rows.N, R = m->R;
    if (R == 0 || !pass->values)
        return;
    const float *a = pass->values + m->a_at;
    for (int64_t n = 0; n < N; n++) {
        const int64_t at = row ? row[n] : 0;
        for (int64_t r = 0; r < R; r++)
            u[n * R + r] = a[r * m->out + at];
    }
    pass_product(pass)(y, m->in, u, R, pass->values + m->b_at, R, N, m->in, R, m->scale, 1);
}

/* y[N,C] (written) = the table's rows; row NULL: all the first */
static void look_up(const Table *table, float *y, const int32_t *row, const Pass *pass)
{
    const Frozen rows = module_weight(&table->module, pass->values);
#pragma omp parallel for
    for (int64_t n = 0; n < pass->rows.N; n++) {
        const int32_t token = table->token_of && pass->values ? table->token_of[row[n]] : -1;
        if (token >= 0)
            memcpy(y + n * rows.in, pass->values + table->module.tokens_at + token * rows.in,
                   (size_t)rows.in * sizeof *y);
        else
            frozen_row(y + n * rows.in, &rows, row ? row[n] : 0);
    }
}

/* A table that the sum is of; NULL: there is none, or it has a magnitude and is added by itself. */
static const float *small_table(const Table *table, const Pass *pass)
{
    return table->module.out > 0 && !table->c ? module_floats(&table->module, pass->values) : NULL;
}

/* y = (or with `add` +=) c (E[row] + scale (A^T[row]) B^T) */
static void magnitude_forward(const Table *table, TableKeep *keep, float *y, const int32_t *row, bool add, Pass *pass)
{
    const int64_t C = table->module.in;
    float *z = keep ? keep->z : pass->o;
    look_up(table, z, row, pass);
    table_lora_forward(table, keep ? keep->u : pass->lora, z, row, pass);
    kernels->scale_columns(y, C, z, C, table->c, pass->rows.N, C, add);
}

/* What a table adds to the sum of rows: its LoRA, or all of it. */
static void add_table(const Table *table, TableKeep *keep, float *y, const int32_t *row, Pass *pass)
{
    if (table->c)
        magnitude_forward(table, keep, y, row, true, pass);
    else
        table_lora_forward(table, keep ? keep->u : pass->lora, y, row, pass);
}

/* T is the sequence's own length, so that its noise is a function of it alone, as in the paper (Jain 2023); Transformers
 * takes the length of the padded batch. */
static void add_noise(const Embedding *embedding, float *y, Pass *pass)
{
    const int64_t C = embedding->C;
    for (int64_t b = 0; pass->drop && embedding->noise > 0 && b < pass->rows.B; b++) {
        const int64_t at = pass->rows.start[b] * C, n = pass->rows.start[b + 1] * C - at;
        const RngKey key = rng_key(pass->seed, pass->step, pass->example[b], site_stream(embedding->layer, SITE_NOISE));
        rng_uniform_fill(pass->o, n, (float)(embedding->noise / sqrt((double)n)), key);
        for (int64_t i = 0; i < n; i++)
            y[at + i] += pass->o[i];
    }
}

static void scale_words(const Embedding *embedding, float *y, bool behind, const Pass *pass)
{
    if (embedding->scale != 1.0f && embedding->scale_behind == behind)
        pass_scale(y, y, embedding->scale, pass->rows.N * embedding->C);
}

/* A scale of the words' rows is of models that have no other tables. */
static void sum_tokens(const Embedding *embedding, EmbeddingKeep *keep, float *y, const EmbeddingInput *input,
                       Pass *pass)
{
    if (embedding->word.c)
        magnitude_forward(&embedding->word, keep ? &keep->word : NULL, y, input->ids, false, pass);
    else
        look_up(&embedding->word, y, input->ids, pass);
    kernels->embed_forward(y, input->ids, input->types, NULL, small_table(&embedding->position, pass), pass->places,
                           small_table(&embedding->type, pass), pass->rows.N, embedding->C);
    if (!embedding->word.c)
        add_table(&embedding->word, keep ? &keep->word : NULL, y, input->ids, pass);
    add_table(&embedding->position, keep ? &keep->position : NULL, y, pass->places, pass);
    add_table(&embedding->type, keep ? &keep->type : NULL, y, input->types, pass);
    scale_words(embedding, y, false, pass);
    add_noise(embedding, y, pass);
    scale_words(embedding, y, true, pass);
}

/* Rows of patches alone, for their linear. */
static Rows patch_rows(const Embedding *embedding, const Pass *pass)
{
    const int64_t B = pass->rows.B, P = patch_count(embedding);
    return (Rows){ .B = B, .N = B * P, .longest = P, .start = embedding->patch_start };
}

/* pass->g[B*P, channels * patch^2] */
static void gather_patches(const Embedding *embedding, const float *pixels, Pass *pass)
{
    kernels->patches_gather(pass->g, pixels, pass->rows.B, embedding->channels, embedding->image_size,
                            embedding->patch);
}

static void sum_patches(const Embedding *embedding, EmbeddingKeep *keep, float *y, const float *pixels, Pass *pass)
{
    const Rows rows = patch_rows(embedding, pass);
    gather_patches(embedding, pixels, pass);
    linear_forward(&embedding->patches, keep ? &keep->patches : NULL, pass->o, embedding->C, pass->g, &rows, pass);
    kernels->patches_embed(y, pass->o, linear_bias(&embedding->patches), module_floats(&embedding->first, pass->values),
                           module_floats(&embedding->position.module, pass->values), rows.B, patch_count(embedding),
                           embedding->C);
}

/* The sum in pass->y, as it goes into the norm. */
static float *project_sum(const Embedding *embedding, EmbeddingKeep *keep, Pass *pass)
{
    const Linear *project = &embedding->project;
    if (!projects(embedding) || !embedding->project_first)
        return pass->y;
    if (keep && keep->sum)
        memcpy(keep->sum, pass->y, (size_t)(pass->rows.N * embedding->C) * sizeof(float));
    linear_forward(project, keep ? &keep->project : NULL, pass->o, project->out, pass->y, &pass->rows, pass);
    linear_add_bias(project, pass->o, project->out, pass->rows.N);
    return pass->o;
}

/* pass->x behind the norm and the dropout, to the model's width. */
static void project_rows(const Embedding *embedding, EmbeddingKeep *keep, Pass *pass)
{
    const Linear *project = &embedding->project;
    if (!projects_behind(embedding))
        return;
    linear_forward(project, keep ? &keep->project : NULL, pass->y, project->out, pass->x, &pass->rows, pass);
    linear_add_bias(project, pass->y, project->out, pass->rows.N);
    pass_exchange(&pass->x, &pass->y);
    if (keep && keep->rows)
        memcpy(keep->rows, pass->x, (size_t)(pass->rows.N * project->out) * sizeof(float));
}

void embedding_forward(const Embedding *embedding, EmbeddingKeep *keep, const EmbeddingInput *input, Pass *pass)
{
    REQUIRE(!projects(embedding) || ends_in_norm(embedding));
    float *sum = normalises(embedding) ? pass->y : pass->r, *out = sum;
    if (shows_images(embedding))
        sum_patches(embedding, keep, sum, input->pixels, pass);
    else
        sum_tokens(embedding, keep, sum, input, pass);
    pass->normed = false;
    if (normalises(embedding)) {
        const NormInput normed = { .x = project_sum(embedding, keep, pass) };
        out = ends_in_norm(embedding) ? pass->x : pass->r;
        norm_apply(&embedding->norm, keep ? &keep->norm : NULL, out, &normed, &pass->rows, pass);
    }
    const Dropout dropout = output_dropout(embedding, pass);
    if (dropout.p > 0)
        kernels->dropout_apply(out, out, &pass->rows, dropout, width_of_norm(embedding));
    project_rows(embedding, keep, pass);
}

/* ---- backward -------------------------------------------------------------- */

/* dtable[row of n, :] += dx[n, :], in the order of the rows. */
static void whole_backward(float *dtable, const float *dx, const int32_t *row, int64_t padding_row, int64_t N,
                           int64_t C)
{
    for (int64_t n = 0; dtable && n < N; n++) {
        const int64_t at = row ? row[n] : 0;
        if (at == padding_row)
            continue;
        for (int64_t c = 0; c < C; c++)
            dtable[at * C + c] += dx[n * C + c];
    }
}

/* dB = scale dx^T u,  dA[:, row of n] += scale (dx B)[n] */
static void table_lora_backward(const Table *table, const float *u, const float *dx, const int32_t *row,
                                const Pass *pass)
{
    const ModuleView *m = &table->module;
    const int64_t N = pass->rows.N, R = m->R, C = m->in;
    if (R == 0)
        return;
    gemm_tn(pass->grad + m->b_at, R, dx, C, u, R, C, R, N, m->scale, 0);
    gemm_nn(pass->lora, R, dx, C, pass->values + m->b_at, R, N, R, C, m->scale, 0);
    float *da = pass->grad + m->a_at;
    for (int64_t n = 0; n < N; n++) {
        const int64_t at = row ? row[n] : 0;
        if (at == table->padding_row)
            continue;
        for (int64_t r = 0; r < R; r++)
            da[r * m->out + at] += pass->lora[n * R + r];
    }
}

/* The gradient of the rows that are trained by themselves, in the order of the tokens. */
static void tokens_backward(const Table *table, const float *dx, const int32_t *row, const Pass *pass)
{
    const int64_t C = table->module.in;
    float *grad = module_grad(pass->grad, table->module.tokens_at);
    for (int64_t n = 0; grad && n < pass->rows.N; n++) {
        const int32_t token = row[n] == table->padding_row ? -1 : table->token_of[row[n]];
        for (int64_t c = 0; token >= 0 && c < C; c++)
            grad[token * C + c] += dx[n * C + c];
    }
}

static void table_backward(const Table *table, const TableKeep *keep, const float *dx, const int32_t *row,
                           const Pass *pass)
{
    const int64_t N = pass->rows.N, C = table->module.in;
    whole_backward(module_grad(pass->grad, table->module.weight_at), dx, row, table->padding_row, N, C);
    if (table->c) { /* then z is the gradient at itself */
        kernels->dot_columns(pass->grad + table->module.magnitude_at, table->magnitude.inverse, dx, C, keep->z, C, N,
                             C);
        kernels->scale_columns(keep->z, C, dx, C, table->c, N, C, false);
    }
    tokens_backward(table, dx, row, pass);
    table_lora_backward(table, keep->u, table->c ? keep->z : dx, row, pass);
}

/* dtable[rows, C] += dsum[b, 0 .. rows), in the order of the images, which have T rows each. */
static void sum_images(float *dtable, const float *dsum, int64_t rows, int64_t B, int64_t T, int64_t C)
{
    for (int64_t b = 0; dtable && b < B; b++)
        for (int64_t i = 0; i < rows * C; i++)
            dtable[i] += dsum[b * T * C + i];
}

/* dsum[B, 1 + P, C]: the rows of patches are copied out for their linear. */
static void patches_backward(const Embedding *embedding, const EmbeddingKeep *keep, const float *dsum,
                             const float *pixels, Pass *pass)
{
    const int64_t C = embedding->C, P = patch_count(embedding), B = pass->rows.B;
    sum_images(module_grad(pass->grad, embedding->first.weight_at), dsum, 1, B, P + 1, C);
    sum_images(module_grad(pass->grad, embedding->position.module.weight_at), dsum, P + 1, B, P + 1, C);
    if (!linear_is_trained(&embedding->patches))
        return;
    const Rows rows = patch_rows(embedding, pass);
    for (int64_t b = 0; b < rows.B; b++)
        memcpy(pass->o + b * P * C, dsum + (b * (P + 1) + 1) * C, (size_t)(P * C) * sizeof(float));
    gather_patches(embedding, pixels, pass);
    const LinearGrad grad = { .dy = pass->o, .ldy = C, .x = pass->g };
    linear_backward(&embedding->patches, &keep->patches, &grad, &rows, pass);
}

/* The gradient at what the linear gave, in pass->x, -> at what it read. */
static void project_backward(const Embedding *embedding, const EmbeddingKeep *keep, const float *x, Pass *pass)
{
    const LinearGrad grad = { .dy = pass->x, .ldy = embedding->project.out, .x = x, .dx = pass->o };
    linear_backward(&embedding->project, &keep->project, &grad, &pass->rows, pass);
    pass_exchange(&pass->x, &pass->o);
}

void embedding_backward(const Embedding *embedding, const EmbeddingKeep *keep, const EmbeddingInput *input, Pass *pass)
{
    if (projects_behind(embedding)) {
        const Inlet inlet = norm_outlet(embedding, keep);
        const bool reads = linear_needs_input(&embedding->project);
        project_backward(embedding, keep, reads ? inlet_restore(&inlet, pass->y, &pass->rows, pass) : NULL, pass);
        if (!is_trained_below(embedding) && !module_is_trained(&embedding->norm.module))
            return;
    }
    const Dropout dropout = output_dropout(embedding, pass);
    float *dsum = ends_in_norm(embedding) ? pass->x : pass->r;
    if (dropout.p > 0)
        kernels->dropout_apply(dsum, dsum, &pass->rows, dropout, width_of_norm(embedding));
    if (normalises(embedding))
        norm_pull(&embedding->norm, &keep->norm, dsum, dsum, NULL, &pass->rows, pass);
    if (projects(embedding) && embedding->project_first) {
        project_backward(embedding, keep, keep->sum, pass);
        dsum = pass->x;
    }
    if (shows_images(embedding)) {
        patches_backward(embedding, keep, dsum, input->pixels, pass);
        return;
    }
    if (embedding->scale != 1.0f)
        pass_scale(dsum, dsum, embedding->scale, pass->rows.N * embedding->C);
    table_backward(&embedding->word, &keep->word, dsum, input->ids, pass);
    table_backward(&embedding->type, &keep->type, dsum, input->types, pass);
    table_backward(&embedding->position, &keep->position, dsum, pass->places, pass);
}

Inlet embedding_outlet(const Embedding *embedding, const EmbeddingKeep *keep)
{
    return projects_behind(embedding) ? (Inlet){ .rows = keep->rows } : norm_outlet(embedding, keep);
}

bool embedding_is_trained(const Embedding *embedding)
{
    return is_trained_below(embedding) || linear_is_trained(&embedding->project) ||
           (normalises(embedding) && module_is_trained(&embedding->norm.module));
}

int64_t embedding_most_R(const Embedding *embedding)
{
    const int64_t of[] = { embedding->word.module.R, embedding->position.module.R, embedding->type.module.R,
                           embedding->patches.R };
    int64_t most = 0;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        most = of[i] > most ? of[i] : most;
    return most;
}
