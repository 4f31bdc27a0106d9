/* head - from the first row of each sequence to logits and their loss:
 *
 *   pooled = dropout(tanh(h Wp + bp))      logits = pooled Wc + bc
 *
 * Losses are sums over the examples, never means. Source: Transformers,
 * BertPooler and BertForSequenceClassification.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_HEAD_H
#define WORKER_LAYERS_HEAD_H

#include "common/config/config.h"
#include "worker/layers/linear.h"

typedef struct Head {
    Linear pooler, classifier;
    int64_t layer; /* the number that its random stream goes by */
    ProblemType problem;
    double dropout;
    bool below;       /* something under the head is trained */
    float *pre;       /* [B,C] before tanh */
    float *pooled;    /* [B,C] behind dropout */
    float *logits, *dlogits; /* [B, labels] */
    int32_t *classes; /* [B] */
} Head;

void head_layout(Head *head, Layout *layout, int64_t most_sequences, bool training);
void head_bind(Head *head, const float *values);

/* head->logits from the hidden rows pass->x[B,C]. */
void head_forward(Head *head, Pass *pass);

/* Sum of the losses; with pass->grad also their gradient, for head_backward. */
double head_loss(Head *head, const float *goal, Pass *pass);

/* pass->x: hidden rows -> their gradient, where something below is trained. */
void head_backward(Head *head, Pass *pass);

#endif
