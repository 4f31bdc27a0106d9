/* embed_loss - what is learnt of the embeddings of a batch of rows, and the gradient at them. The rows know each other:
 * every positive and negative of the batch stands beside each anchor, every pair beside each other pair.
 *
 *   negatives   sum_i -log softmax_i(scale cos(anchor_i, v))     v: the positives of all rows, then their negatives
 *   cosent      B log(1 + sum_{score_i < score_j} exp(scale (cos_i - cos_j)))
 *   cosine      sum_i (cos_i - score_i)^2
 *   triplet     sum_i max(0, far(anchor_i, positive_i) - far(anchor_i, negative_i) + margin)
 *
 * All are sums that B divides. Source: sentence-transformers 6.2, MultipleNegativesRankingLoss, CoSENTLoss,
 * CosineSimilarityLoss, TripletLoss.
 *
 * Pure. Threads: any. */
#ifndef COMMON_METRICS_EMBED_LOSS_H
#define COMMON_METRICS_EMBED_LOSS_H

#include "common/config/config.h"

#include <stdint.h>

/* Products as worker/kernels/gemm.h has them; nn and tn are wanted for the gradient alone. */
typedef void EmbedProduct(float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t rows,
                          int64_t columns, int64_t inner, float alpha, float beta);
typedef struct EmbedProducts {
    EmbedProduct *nt, *nn, *tn;
} EmbedProducts;

typedef struct EmbedBatch {
    const float *e; /* [B, columns, C] as they are pooled */
    const float *score; /* [B * columns] the row's stands at its first text; of losses without: not read */
    int64_t B, columns, C;
} EmbedBatch;

/* Floats of `room` for such a batch. */
int64_t embed_loss_room(const EmbedConfig *how, int64_t B, int64_t columns, int64_t C);

/* each[B] (written): the rows' shares of the sum. de[B, columns, C] (written) its gradient; NULL: not wanted. */
void embed_loss(double *each, float *de, const EmbedBatch *batch, const EmbedConfig *how, const EmbedProducts *products,
                float *room);

/* e[n,C] of length 1, in place; zeros stay. */
void embed_normalize(float *e, int64_t n, int64_t C);

/* Its products without BLAS: y = alpha a . b^T; beta is 0. */
EmbedProduct embed_product_nt;

#endif
