/* cross_body - the body of a sublayer: rows of the stack that writes see those of the stack that reads (pass->memory), or
 * what their lanes have made of them (lanes.h).
 *
 *   q = x Wq + b       k|v = memory Wkv + b       o = attention(q, k, v) Wout       (bias of Wout: by who comes next)
 *
 * Kept for backward are q, k|v and attention's output. The gradient at the memory is added up in pass->dmemory by all
 * that read it.
 *
 * Owner: a sublayer. Threads: the caller's one. */
#ifndef WORKER_LAYERS_CROSS_BODY_H
#define WORKER_LAYERS_CROSS_BODY_H

#include "worker/layers/body.h"
#include "worker/layers/linear.h"

typedef struct Cross {
    int64_t layer, C;
    int64_t E, KV; /* heads * head size; width of a row k|v */
    AttentionShape shape;
    double dropout; /* of the weights */
    Linear q, kv, out;
    bool below; /* given: a gradient at the memory is needed */
    bool needs_in, needs_q, needs_kv; /* a gradient at the input, at q, at k|v */
} Cross;

/* What backward needs of a forward; NULL: of that nothing. */
typedef struct CrossKeep {
    LinearKeep q, kv, out;
    float *q_rows, *kv_rows; /* [M, E]; [S, KV], S: rows of the memory */
    float *att; /* [M, E] */
    float *lse; /* [H, M] */
} CrossKeep;

/* Once its linears and `below` are set; in: the gradient at its input is needed. True: so is that at its output. */
bool cross_body_plan(Cross *cross, bool in);
bool cross_body_needs_input(const Cross *cross); /* for its own gradients */

void cross_body_layout(Cross *cross, Layout *layout);
void cross_body_keep_layout(CrossKeep *keep, const Cross *cross, Layout *layout, const PassSizes *sizes,
                            int64_t most_rows);
void cross_body_measure(const Cross *cross, bool drops, int threads, PassSizes *sizes);
void cross_body_bind(Cross *cross, const float *values);

/* pass->x[rows,C] -> pass->o[rows,C], without the bias. */
void cross_body_forward(const Cross *cross, CrossKeep *keep, const Rows *rows, Pass *pass);

/* -> pass->x[rows,C], where the gradient at the input is needed (body.h). */
void cross_body_backward(const Cross *cross, const CrossKeep *keep, const Rows *rows, const BodyGrad *grad, Pass *pass);

/* kv[S,KV] of pass->memory, bias and all. keep NULL: no backward follows. */
void cross_body_read(const Cross *cross, LinearKeep *keep, float *kv, Pass *pass);

#endif
