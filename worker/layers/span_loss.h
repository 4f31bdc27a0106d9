/* span_loss - the loss of answers that are parts of a sequence, and its gradient: of each of the two ends the
 * cross-entropy over all rows of the sequence, padding too.
 *
 * Pure. Threads: any. */
#ifndef WORKER_LAYERS_SPAN_LOSS_H
#define WORKER_LAYERS_SPAN_LOSS_H

#include "worker/kernels/kernels.h"
#include "worker/layers/batch_loss.h"

/* logits[N, 2] of the sequences' rows, goal[B, 2] the rows of each that are wanted, counted in the sequence. The sum over
 * the sequences of half the sum of the two losses; dlogits[N, 2], where it is given, gets its gradient. */
BatchLoss span_loss(float *dlogits, const float *logits, const float *goal, const Rows *rows);

#endif
