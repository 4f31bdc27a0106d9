/* class_loss - the loss of rows that have one class each, and its gradient.
 *
 * Pure. Threads: any. */
#ifndef WORKER_LAYERS_CLASS_LOSS_H
#define WORKER_LAYERS_CLASS_LOSS_H

#include "worker/layers/batch_loss.h"

/* Over the rows of logits[N, V] whose goal[N] is not -100: sum, count and weight; dlogits[N, V], where it is given, gets the
 * gradient of the sum (0 in the other rows). With weights w, smoothing e and p = softmax(x) a row of class y adds
 *
 *   loss   (1 - e) w[y] (-log p[y]) + e / V sum_v w[v] (-log p[v])
 *   weight w[y]
 *
 * so that sum / weight is torch.nn.CrossEntropyLoss(weight=w, label_smoothing=e). */
BatchLoss class_loss(float *dlogits, const float *logits, const int32_t *goal, int64_t N, int64_t V,
                     const LossOptions *o);

#endif
