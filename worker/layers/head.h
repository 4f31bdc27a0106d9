/* head - from the rows that are read to logits and their loss:
 *
 *   pooled = dropout(norm(act(dropout(h) Wp + bp)))      logits = pooled Wc + bc
 *
 * Without a pooler, pooled = dropout(h); its norm may be none. h may be the mean of a sequence's rows. A row is a sequence or an image, or (tokens)
 * one of those that have a class each, or all, of which two are to be found. Losses are sums, never means. Source:
 * Transformers, ...ForSequenceClassification, ...ForTokenClassification, ...ForQuestionAnswering.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_HEAD_H
#define WORKER_LAYERS_HEAD_H

#include "common/config/config.h"
#include "worker/layers/batch_loss.h"
#include "worker/layers/linear.h"
#include "worker/layers/norm.h"

typedef struct Head {
    Linear pooler; /* without parts: there is none */
    Linear classifier;
    Norm norm; /* behind the pooler's activation; width 0: none */
    bool mean; /* of each sequence's rows one */
    int64_t *each; /* [most_sequences + 1]: rows of sequences alone, where it is a mean */
    int64_t layer; /* the number that its random stream goes by */
    ProblemType problem;
    bool spans; /* a goal is the places of two of a sequence's rows (span_loss.h) */
    LossOptions loss;
    Activation act; /* of the pooler */
    double pooler_dropout, dropout;
    bool below; /* something under the head is trained */
} Head;

/* What backward needs of a forward. */
typedef struct HeadKeep {
    LinearKeep pooler, classifier;
    NormKeep norm;
    float *dropped; /* [M,C] what goes into the pooler, where something is dropped */
    float *pre; /* [M,C] before the activation */
    float *pooled; /* [M,C] behind dropout; NULL: the rows themselves */
    float *dlogits; /* [M, labels] */
} HeadKeep;

void head_layout(Head *head, Layout *layout, const PassSizes *sizes);
void head_keep_layout(HeadKeep *keep, const Head *head, Layout *layout, int64_t most_read);
void head_bind(Head *head, const float *values);

/* Rows of logits: of pass->reads, or one a sequence. */
int64_t head_count(const Head *head, const Pass *pass);

/* pass->logits from the hidden rows pass->x[M,C]. keep NULL: no backward follows, nothing is dropped. */
void head_forward(const Head *head, HeadKeep *keep, Pass *pass);

/* Sum of the losses of pass->logits; their gradient goes to the keep, for head_backward. goal: of
 * sequences [B] or [B, labels], of spans [B, 2]; token_goal: of all tokens. */
BatchLoss head_loss(const Head *head, HeadKeep *keep, const float *goal, const int32_t *token_goal, Pass *pass);

/* pass->x: hidden rows -> their gradient, where something below is trained. */
void head_backward(const Head *head, const HeadKeep *keep, Pass *pass);

#endif
