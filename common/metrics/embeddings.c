#include "common/metrics/embeddings.h"

#include "common/base/mem.h"
#include "common/metrics/correlation.h"
#include "common/metrics/embed_loss.h"

#include <math.h>
#include <stdlib.h>

int64_t embeddings_width(int64_t columns, int64_t C)
{
    return columns * C + 1;
}

/* All rows as floats. */
typedef struct Embedded {
    const EmbedHead *head;
    int64_t B, columns, C;
    float *e; /* [B, columns, C], owned */
    float *score; /* [B * columns], owned; the row's at its first text */
} Embedded;

static Embedded take(const EmbeddingRows *rows, const EmbedHead *head)
{
    const int64_t B = rows->B, columns = head->columns, n = columns * rows->C;
    Embedded x = { head,
                   B,
                   columns,
                   rows->C,
                   xcalloc((size_t)(B * n + 1), sizeof(float)),
                   xcalloc((size_t)(B * columns + 1), sizeof(float)) };
    for (int64_t b = 0; b < B; b++) {
        const double *row = rows->rows + b * (n + 1);
        for (int64_t i = 0; i < n; i++)
            x.e[b * n + i] = (float)row[i];
        x.score[b * columns] = (float)row[n];
    }
    return x;
}

static double mean_loss(const Embedded *x)
{
    static const EmbedProducts products = { embed_product_nt, NULL, NULL };
    const int64_t most = x->head->batch < x->B ? x->head->batch : x->B;
    float *room = xmalloc((size_t)embed_loss_room(&x->head->how, most, x->columns, x->C) * sizeof *room);
    double *each = xcalloc((size_t)most + 1, sizeof *each), sum = 0;
    for (int64_t first = 0; first < x->B; first += most) {
        const EmbedBatch batch = { x->e + first * x->columns * x->C, x->score + first * x->columns,
                                   x->B - first < most ? x->B - first : most, x->columns, x->C };
        embed_loss(each, NULL, &batch, &x->head->how, &products, room);
        for (int64_t b = 0; b < batch.B; b++)
            sum += each[b];
    }
    free(room);
    free(each);
    return x->B > 0 ? sum / (double)x->B : 0;
}

static const float *text(const Embedded *x, int64_t b, int64_t column)
{
    return x->e + (b * x->columns + column) * x->C;
}

/* Of embeddings of length 1. */
static float cosine(const Embedded *x, int64_t b, int64_t column, int64_t other, int64_t other_column)
{
    float y;
    embed_product_nt(&y, 1, text(x, b, column), x->C, text(x, other, other_column), x->C, 1, 1, x->C, 1, 0);
    return y;
}

static int rank_figures(Figure *figures, int n, const Embedded *x)
{
    double first = 0, five = 0, reciprocal = 0;
    for (int64_t b = 0; b < x->B; b++) {
        const float own = cosine(x, b, 0, b, 1);
        int64_t rank = 1;
        for (int64_t k = 0; k < x->B; k++)
            rank += k != b && cosine(x, b, 0, k, 1) > own;
        first += rank <= 1;
        five += rank <= 5;
        reciprocal += rank <= 10 ? 1.0 / (double)rank : 0;
    }
    const double all = x->B > 0 ? (double)x->B : 1;
    n = figure_put(figures, n, "recall_at_1", first / all);
    n = figure_put(figures, n, "recall_at_5", five / all);
    return figure_put(figures, n, "mrr_at_10", reciprocal / all);
}

static int pair_figures(Figure *figures, int n, const Embedded *x)
{
    double *cosines = xcalloc((size_t)(2 * x->B + 1), sizeof *cosines), *scores = cosines + x->B;
    for (int64_t b = 0; b < x->B; b++) {
        cosines[b] = (double)cosine(x, b, 0, b, 1);
        scores[b] = (double)x->score[b * x->columns];
    }
    n = figure_put(figures, n, "pearson_cosine", correlation_pearson(cosines, scores, x->B));
    n = figure_put(figures, n, "spearman_cosine", correlation_spearman(cosines, scores, x->B));
    free(cosines);
    return n;
}

static int triplet_figures(Figure *figures, int n, const Embedded *x)
{
    double right = 0;
    for (int64_t b = 0; b < x->B; b++)
        right += cosine(x, b, 0, b, 1) > cosine(x, b, 0, b, 2);
    return figure_put(figures, n, "cosine_accuracy", x->B > 0 ? right / (double)x->B : 0);
}

int embeddings_figures(Figure *figures, const EmbeddingRows *rows, const EmbedHead *head)
{
    static int (*const of[])(Figure *, int, const Embedded *) = { [EMBED_NEGATIVES] = rank_figures,
                                                                  [EMBED_COSENT] = pair_figures,
                                                                  [EMBED_COSINE] = pair_figures,
                                                                  [EMBED_TRIPLET] = triplet_figures };
    Embedded x = take(rows, head);
    int n = figure_put(figures, 0, "loss", mean_loss(&x));
    embed_normalize(x.e, x.B * x.columns, x.C);
    n = of[head->how.loss](figures, n, &x);
    free(x.e);
    free(x.score);
    return n;
}
