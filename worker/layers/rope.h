/* rope - rotary positions: the tables of cosines and sines, and their use on the
 * heads of q and k.
 *
 * Angles are rounded to float as Transformers does. A kind whose frequencies depend
 * on the length of a sequence ("dynamic") has tables for short sequences and makes
 * those of a longer one when it comes.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_ROPE_H
#define WORKER_LAYERS_ROPE_H

#include "common/model/arch.h"
#include "worker/kernels/kernels.h"
#include "worker/layers/layout.h"

typedef struct Rope {
    const ModelArch *arch; /* borrowed; NULL: the model has no rotary positions */
    int64_t D, longest;
    int64_t same; /* sequences up to here turn alike */
    bool stretches; /* longer ones come, by frequencies of their own */
    float *cosine, *sine; /* [longest, D/2] */
    float *own_cosine, *own_sine; /* the same for sequences of own_length, where it stretches */
    double *inverse; /* [D/2] */
    int64_t own_length;
} Rope;

/* Plans for sequences of up to `longest` tokens. */
void rope_layout(Rope *rope, Layout *layout, const ModelArch *arch, int64_t longest);

/* Fills the tables, once they have their places. */
void rope_fill(Rope *rope);

/* Turns `heads` heads that lie side by side in x[N,:] (row stride ld); back: a gradient. */
void rope_turn(Rope *rope, float *x, int64_t ld, int64_t heads, const Rows *rows, bool back);

/* cosine and sine of place t in a sequence of `length` tokens, [D/2] each. */
void rope_row(Rope *rope, int64_t t, int64_t length, const float **cosine, const float **sine);

#endif
