/* pool - rows become an embedding: the mean of those that are read of a sequence. One row is itself, so that the first
 * and the last token need nothing of their own (HeadRows says which rows are read).
 *
 *   e[b] = 1/n sum_i x[i]      dx[i] = 1/n de[b]      i: the n read rows of sequence b
 *
 * Pure. Threads: the caller's one. */
#ifndef WORKER_LAYERS_POOL_H
#define WORKER_LAYERS_POOL_H

#include "common/metrics/embed_loss.h"
#include "worker/layers/pass.h"

/* e[B,C] (written) of the rows pass->x[M,C]. */
void pool_forward(float *e, int64_t C, const Pass *pass);

/* pass->x[M,C] (written) from de[B,C]. */
void pool_backward(const float *de, int64_t C, Pass *pass);

/* embed_loss with the worker's products. */
void pool_loss(double *each, float *de, const EmbedBatch *batch, const EmbedConfig *how, float *room);

#endif
