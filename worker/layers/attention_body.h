/* attention_body - the body of a sublayer: rows see each other, or what their lanes have
 * read before (lanes.h).
 *
 *   q|k|v = x Wqkv + b       o = attention(q, k, v) Wout       (bias of Wout: by who comes next)
 *
 * Heads of q and of k may have a norm each, or one for all (head_norm.h), before they turn by their places.
 *
 * Scores may have terms by distance (distances.h).
 *
 * In a tail q is made of the read rows alone, where it is a module of its own, and only
 * they come out.
 *
 * What is kept for backward is the least that cannot be made again cheaply: q|k|v and
 * attention's output. Where nothing trained lies below, not even that.
 *
 * Owner: a sublayer. Threads: the caller's one. */
#ifndef WORKER_LAYERS_ATTENTION_BODY_H
#define WORKER_LAYERS_ATTENTION_BODY_H

#include "worker/layers/body.h"
#include "worker/layers/distances.h"
#include "worker/layers/linear.h"

typedef struct Attention {
    int64_t layer, C;
    int64_t E; /* heads * head size */
    int64_t QKV; /* width of a row q|k|v */
    AttentionShape shape;
    double dropout; /* of the weights */
    Linear qkv; /* q, k, v, as three parts or as one module */
    Linear out;
    Norm q_norm, k_norm; /* of a head, or of all heads; width 0: none */
    int added_set; /* of pass->added */
    int rope_set; /* of pass->ropes; below 0: they stand */
    bool trains_added; /* what heads add to scores is trained */
    const Distances *distances; /* borrowed; NULL: scores are of places alone */
    Linear distance_k, distance_q; /* of distances; without parts: q and k are made by those of tokens */
    ModuleView q_bias, v_bias; /* of the fused product; out 0: there are none */
    bool needs_in, needs_qkv; /* a gradient at the input, at q|k|v as they attend */
} Attention;

/* What backward needs of a forward; NULL: of that nothing. */
typedef struct AttentionKeep {
    LinearKeep qkv; /* in a tail where q is computed for fewer rows: of k, v */
    LinearKeep q, out;
    NormKeep q_norm, k_norm;
    DistanceKeep distances;
    float *rows; /* q|k|v [N, QKV] */
    float *att; /* [M, E], M: rows that come out */
    float *lse; /* [H, N] */
} AttentionKeep;

/* Once its linears are set; below: the gradient at its input is needed. True: so is that at its output. */
bool attention_body_plan(Attention *attention, bool below);
bool attention_body_needs_input(const Attention *attention); /* for its own gradients */

void attention_body_layout(Attention *attention, Layout *layout);
void attention_body_keep_layout(AttentionKeep *keep, const Attention *attention, Layout *layout, const PassSizes *sizes,
                                bool tail);
void attention_body_measure(const Attention *attention, bool drops, int threads, PassSizes *sizes);
void attention_body_bind(Attention *attention, const float *values);

/* pass->x[N,C] -> pass->o[M,C], without the bias. */
void attention_body_forward(const Attention *attention, AttentionKeep *keep, bool tail, Pass *pass);

/* -> pass->x[N,C], where the gradient at the input is needed (body.h). */
void attention_body_backward(const Attention *attention, const AttentionKeep *keep, bool tail, const BodyGrad *grad,
                             Pass *pass);

#endif
