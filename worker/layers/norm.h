/* norm - a normalisation of rows (layer norm, or of the scale alone) with its gain
 * and bias, frozen or trained. Its output is not kept: it is made again from the
 * normalised rows where somebody needs it.
 *
 * Owner: a block or the embedding. Threads: the caller's one. */
#ifndef WORKER_LAYERS_NORM_H
#define WORKER_LAYERS_NORM_H

#include "worker/layers/layout.h"
#include "worker/layers/module.h"
#include "worker/layers/pass.h"

typedef struct Norm {
    ModuleView module; /* width 0: rows go through as they are */
    int64_t C;
    float eps;
    bool rms; /* no mean, no bias */
    bool from_one; /* it multiplies by 1 + weight */
    float *one_room; /* [C] then */
    const float *gain; /* bound, where it is from one: [C] */
    bool masks; /* of all tokens those that are padding come out as 0 */
} Norm;

/* What backward needs of a forward, and who makes the output again. */
typedef struct NormKeep {
    float *xhat, *inv; /* [rows, C], [rows]; NULL: nobody needs them. Rows that go through as they are, are xhat */
} NormKeep;

/* Rows that a norm made, from which they are made again: a sublayer's input, or behind the embedding's dropout. */
typedef struct Inlet {
    const Norm *norm; /* NULL: nowhere */
    const NormKeep *keep;
    const float *rows; /* [rows, C] instead: they are there, as they came over a boundary */
    int64_t layer; /* of the dropout's stream */
    double dropout; /* SITE_EMBED's, behind the norm */
} Inlet;

/* Whether it does anything to rows. */
bool norm_is_there(const Norm *norm);

void norm_layout(Norm *norm, Layout *layout);
void norm_bind(Norm *norm, const float *values);
void norm_keep_layout(NormKeep *keep, const Norm *norm, Layout *layout, int64_t most_rows);

/* y[N,C], another buffer than x where there is a residual. input->residual NULL: of x alone, without bias and
 * dropout, and no sum. keep NULL: nothing is kept. */
void norm_apply(const Norm *norm, NormKeep *keep, float *y, const NormInput *input, const Rows *rows, const Pass *pass);

/* input->sum[N,C] alone, which nobody normalises yet; room[N,C] is left with anything. */
void norm_sum(const NormInput *input, float *room, int64_t C, const Rows *rows);

/* ds[N,C] = gradient at what was normalised, from dy[N,C] at the output, plus dsum[N,C]
 * (NULL: nothing). ds may be either; one that masks takes both in one buffer. */
void norm_pull(const Norm *norm, const NormKeep *keep, float *ds, const float *dy, const float *dsum, const Rows *rows,
               const Pass *pass);

/* What forward gave, as backward takes it (a product and a sum, rounded each): y[N,C], or the inlet's own rows. */
const float *inlet_restore(const Inlet *inlet, float *y, const Rows *rows, Pass *pass);

#endif
