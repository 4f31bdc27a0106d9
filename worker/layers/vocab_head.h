/* vocab_head - from hidden rows to the next token: logits over the vocabulary, their
 * loss and its gradient, a few rows at a time, so that logits of all rows never
 * exist. The loss and its gradient are made in one go: the logits of a piece become
 * their gradient in place, and meet the vocabulary matrix again before the next.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_VOCAB_HEAD_H
#define WORKER_LAYERS_VOCAB_HEAD_H

#include "worker/layers/batch_loss.h"
#include "worker/layers/linear.h"

typedef struct VocabHead {
    Linear linear; /* [V,C]; its weight may be the word table */
    LossOptions loss;
    float scale, cap; /* of the logits (bend_logits); 1 and 0: they stay */
    bool below; /* something under the head is trained */
    float *moved; /* [C] how far a row that is trained by itself is from that of the weight */
    int64_t piece; /* rows that go through together */
    LinearKeep kept; /* of the piece, in training */
    float *rows; /* [piece, C] */
    float *logits; /* [piece, V] */
    float *bent; /* [piece, V] the same before they are a gradient, of a cap that is trained under */
    RowLoss *losses; /* [piece] */
    int32_t *labelled, *goal; /* [M] the read rows that have a goal, and the goal */
    int64_t *start, *from; /* [B+1] where labelled rows of each sequence start, all and of a piece */
} VocabHead;

void vocab_head_layout(VocabHead *head, Layout *layout, const PassSizes *sizes, bool training);
void vocab_head_bind(VocabHead *head, const float *values);

/* logits[N,V] of x[N,C], bias, scale and cap included. keep NULL: no backward follows. */
void vocab_head_forward(const VocabHead *head, LinearKeep *keep, float *logits, const float *x, const Rows *rows,
                        Pass *pass);

/* Sum of the losses of the read rows that have a goal (token_goal: of all tokens, -100: none),
 * from pass->x[M,C]. With pass->grad, pass->x becomes the gradient of the
 * hidden rows (where something below is trained), and the head's own are added to pass->grad. */
BatchLoss vocab_head_loss(VocabHead *head, const int32_t *token_goal, Pass *pass);

/* logits[M,V] of all read rows, and the loss as above when there is a token_goal. */
BatchLoss vocab_head_logits(VocabHead *head, float *logits, const int32_t *token_goal, Pass *pass);

#endif
