/* embeddings - what an evaluation says of the embeddings of all its rows:
 *
 *   negatives         recall_at_1, recall_at_5, mrr_at_10: where an anchor's own positive stands among those of all
 *                     rows by its cosine; its rank is 1 + how many are strictly nearer
 *   scored pairs      pearson_cosine, spearman_cosine
 *   triplets          cosine_accuracy: how often the positive is nearer than the negative
 *
 * and first `loss`: that of embed_loss.h over batches of embed.batch rows in the order of the file, by their rows.
 * Source: sentence-transformers 6.2, InformationRetrievalEvaluator, EmbeddingSimilarityEvaluator, TripletEvaluator.
 *
 * Time and memory of `negatives` are by rows times rows. Pure. Threads: any. */
#ifndef COMMON_METRICS_EMBEDDINGS_H
#define COMMON_METRICS_EMBEDDINGS_H

#include "common/config/config.h"
#include "common/metrics/figure.h"

#include <stdint.h>

/* Doubles of a row: its texts' embeddings, its score. */
int64_t embeddings_width(int64_t columns, int64_t C);

typedef struct EmbeddingRows {
    const double *rows; /* [B, embeddings_width] */
    int64_t B, C;
} EmbeddingRows;

/* figures[0, return value), at most 4. */
int embeddings_figures(Figure *figures, const EmbeddingRows *rows, const EmbedHead *embed);

#endif
