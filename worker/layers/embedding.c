#include "worker/layers/embedding.h"

#include "worker/kernels/kernels.h"

void embedding_layout(Embedding *embedding, Layout *layout, int64_t most_tokens, bool needed)
{
    layernorm_layout(&embedding->norm, layout, most_tokens, needed);
}

static Dropout output_dropout(const Embedding *embedding, Pass *pass)
{
    return pass_dropout(pass, embedding->layer, SITE_EMBED, embedding->dropout);
}

void embedding_forward(Embedding *embedding, const int32_t *ids, const int32_t *types, Pass *pass)
{
    const int64_t C = embedding->word.in;
    embed_forward(pass->y, ids, types, module_weight(&embedding->word, pass->values),
                  module_weight(&embedding->position, pass->values),
                  module_weight(&embedding->type, pass->values), &pass->rows, C, 0);
    const LayerNormInput sum = { .x = pass->y };
    layernorm_forward(&embedding->norm, pass->x, &sum, &pass->rows, pass);
    const Dropout dropout = output_dropout(embedding, pass);
    if (dropout.p > 0)
        dropout_apply(pass->x, pass->x, &pass->rows, dropout, C);
}

/* dtable[row of n, :] += dx[n, :], in the order of the rows. */
static void table_backward(float *dtable, const float *dx, const int32_t *row, int64_t skip,
                           int64_t N, int64_t C)
{
    for (int64_t n = 0; dtable && n < N; n++) {
        const int64_t at = row ? row[n] : 0;
        if (at == skip)
            continue;
        for (int64_t c = 0; c < C; c++)
            dtable[at * C + c] += dx[n * C + c];
    }
}

static void position_backward(float *dtable, const float *dx, const Rows *rows, int64_t C)
{
    for (int64_t b = 0; dtable && b < rows->B; b++) {
        const int64_t first = rows->start[b] * C, n = (rows->start[b + 1] - rows->start[b]) * C;
        for (int64_t i = 0; i < n; i++)
            dtable[i] += dx[first + i];
    }
}

void embedding_backward(Embedding *embedding, const int32_t *ids, const int32_t *types,
                        Pass *pass)
{
    const int64_t N = pass->rows.N, C = embedding->word.in;
    const Dropout dropout = output_dropout(embedding, pass);
    if (dropout.p > 0)
        dropout_apply(pass->x, pass->x, &pass->rows, dropout, C);
    layernorm_backward(&embedding->norm, pass->x, &pass->rows, pass);
    table_backward(module_grad(pass->grad, embedding->word.weight_at), pass->x, ids,
                   embedding->pad_id, N, C);
    table_backward(module_grad(pass->grad, embedding->type.weight_at), pass->x, types, -1, N, C);
    position_backward(module_grad(pass->grad, embedding->position.weight_at), pass->x, &pass->rows,
                      C);
}

void embedding_restore(const Embedding *embedding, float *y, Pass *pass)
{
    layernorm_restore(&embedding->norm, y, &pass->rows, pass);
    const Dropout dropout = output_dropout(embedding, pass);
    if (dropout.p > 0)
        dropout_apply(y, y, &pass->rows, dropout, embedding->word.in);
}

bool embedding_is_trained(const Embedding *embedding)
{
    return module_is_trained(&embedding->word) || module_is_trained(&embedding->position) ||
           module_is_trained(&embedding->type) || module_is_trained(&embedding->norm.module);
}
