/* head_norm - one norm for every head of q, or of k, before they turn; or for all heads together, which are one
 * then.
 *
 * Heads of the norm's size lie side by side in rows x[N, heads * C] of stride ld.
 *
 * Owner: attention_body. Threads: the caller's one. */
#ifndef WORKER_LAYERS_HEAD_NORM_H
#define WORKER_LAYERS_HEAD_NORM_H

#include "worker/layers/norm.h"

/* What backward needs of `rows` rows of heads. */
void head_norm_keep_layout(NormKeep *keep, const Norm *norm, Layout *layout, int64_t rows, int64_t heads);

/* In place; uses pass->o where other things lie between rows. keep's members NULL: no backward follows. */
void head_norm_forward(const Norm *norm, NormKeep *keep, float *x, int64_t ld, int64_t heads, int64_t N, Pass *pass);

/* The gradient behind the norm -> before it, in place; uses pass->o likewise. */
void head_norm_backward(const Norm *norm, const NormKeep *keep, float *g, int64_t ld, int64_t heads, int64_t N,
                        Pass *pass);

#endif
