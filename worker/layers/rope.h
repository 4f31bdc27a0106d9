/* rope - rotary positions: the tables of cosines and sines, and their use on the
 * heads of q and k.
 *
 * Angles are rounded to float as Transformers does. A kind whose frequencies depend
 * on the length of a sequence ("dynamic") has tables for short sequences and makes
 * those of a longer one when it comes. Of another ("longrope") all sequences turn as the
 * longest of their batch does, which is the caller's to say.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_ROPE_H
#define WORKER_LAYERS_ROPE_H

#include "common/model/arch.h"
#include "worker/kernels/kernels.h"
#include "worker/layers/layout.h"

typedef struct Rope {
    const ModelArch *arch; /* borrowed; NULL: the model has no rotary positions */
    int set; /* of frequencies */
    bool of_batch; /* a sequence turns as the longest of its batch */
    bool neighbours;
    int64_t D, R, longest;
    int64_t same; /* sequences up to here turn alike */
    bool stretches; /* longer ones come, by frequencies of their own */
    float *cosine, *sine; /* [longest, R/2] */
    float *own_cosine, *own_sine; /* the same for sequences of own_length, where it stretches */
    double *inverse; /* [R/2] */
    int64_t own_length;
} Rope;

/* Plans for sequences of up to `longest` tokens, by a set of the arch's frequencies. */
void rope_layout(Rope *rope, Layout *layout, const ModelArch *arch, int set, int64_t longest);

/* Fills the tables, once they have their places. */
void rope_fill(Rope *rope);

/* Turns q and k of qkv[N,:], as they lie there; back: a gradient. batch: the longest sequence of the batch that the
 * rows are of; 0: it is among them. */
void rope_turn(Rope *rope, float *qkv, const AttentionShape *shape, const Rows *rows, int64_t batch, bool back);

/* The heads of q and k in a row. */
RopeHeads rope_heads(const Rope *rope, const AttentionShape *shape);

/* cosine and sine of place t in a sequence of `length` tokens, [R/2] each. */
void rope_row(Rope *rope, int64_t t, int64_t length, const float **cosine, const float **sine);

#endif
