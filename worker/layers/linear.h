/* linear - the one place where a frozen weight, its LoRA, a trained bias and a
 * weight that is trained whole meet:
 *
 *   y = x W^T + scale (dropout(x) A^T) B^T        (+ bias, added by who comes next)
 *
 * or, with a magnitude (magnitude.h), c times that; where x is dropped, only of the part that c adds:
 *
 *   y = x W^T + (c - 1) dropout(x) W^T + c scale (dropout(x) A^T) B^T
 *
 * Of triplets (AdaLoRA) the A of the formula is diag(E) A of what is trained: multiplied once where the values are
 * bound, taken apart in the gradient, dE_r = sum_i dA_ri A_ri and E_r dA_ri.
 *
 * A linear has one to three parts: modules that share an input and whose frozen
 * weights lie one behind the other (q, k, v). They are one product; so are their
 * A matrices, unless LoRA dropout gives each its own mask of x (as PEFT does:
 * one mask a module). Source of the formulas: PEFT, tuners/lora/layer.py.
 *
 * A Linear is the weights, and what a call's values are bound to; what backward needs
 * of a forward is the caller's LinearKeep.
 *
 * Owner: a block or the head. Threads: the caller's one. */
#ifndef WORKER_LAYERS_LINEAR_H
#define WORKER_LAYERS_LINEAR_H

#include "worker/layers/layout.h"
#include "worker/layers/magnitude.h"
#include "worker/layers/module.h"
#include "worker/layers/pass.h"

enum { LINEAR_PARTS = 3 };

typedef struct LinearPart {
    ModuleView module;
    Site site; /* of its LoRA's dropout */
    int64_t at; /* its first column in y */
    int64_t r_at; /* its first column in u */
} LinearPart;

typedef struct Linear {
    int64_t layer;
    int64_t in, out, R; /* out and R: of all parts together */
    double dropout; /* of LoRA's input */
    int parts;
    LinearPart part[LINEAR_PARTS];
    Frozen weight; /* of all parts, one behind the other */
    bool whole; /* a part's weight is trained: one product a part */
    bool has_lora_bias, has_magnitude; /* a part does */
    bool triplets; /* a part's A is diag(E) A */
    bool summed; /* its modules are run elsewhere, too: gradients are added to those that are there */
    float *a_room; /* [R, in] the parts' A's together, or diag(E) A */
    float *bias_room; /* [out] */
    float *sums; /* [out] for the gradient of a bias of B */
    Magnitude magnitude; /* of all parts, side by side */
    uint64_t seen[LINEAR_PARTS]; /* what the magnitudes were made of */
    const float *values; /* bound; NULL: the base alone */
    const float *a; /* bound: [R, in] */
    const float *bias; /* bound: [out], or NULL */
    const float *c; /* bound: [out] of the magnitudes, or NULL */
} Linear;

/* What backward needs of a forward. */
typedef struct LinearKeep {
    float *u; /* [rows, R] dropout(x) A^T, for dB; NULL: no LoRA */
    float *z; /* [rows, out] what the magnitude multiplies; backward overwrites it; NULL: no magnitude */
} LinearKeep;

/* Adds a part behind those there are; starts from a zeroed Linear. */
void linear_add(Linear *linear, const ModuleView *module, Site site);

/* `count` of its parts from `first` on, as a linear of their own, with the values that are bound. */
Linear linear_slice(const Linear *linear, int first, int count);

void linear_layout(Linear *linear, Layout *layout);
void linear_keep_layout(LinearKeep *keep, const Linear *linear, Layout *layout, int64_t most_rows);

/* Raises what the pass has to have room for; drops: LoRA's input may be dropped. */
void linear_measure(const Linear *linear, bool drops, PassSizes *sizes);

/* Takes the values of this call (lent until the next bind). */
void linear_bind(Linear *linear, const float *values);

/* y[N,out] (row stride ldy, written) from x[N,in], without the bias. keep NULL: no backward follows. */
void linear_forward(const Linear *linear, LinearKeep *keep, float *y, int64_t ldy, const float *x, const Rows *rows,
                    Pass *pass);

/* What forward keeps, without y where that can be: as before a backward that comes later. y[N,out]: room. */
void linear_keep_again(const Linear *linear, LinearKeep *keep, float *y, const float *x, const Rows *rows, Pass *pass);

/* The bias in force, [out]; NULL: none. */
const float *linear_bias(const Linear *linear);

/* y[N,out] (row stride ldy) += bias, where no kernel behind does it in passing. */
void linear_add_bias(const Linear *linear, float *y, int64_t ldy, int64_t N);

typedef struct LinearGrad {
    const float *dy; /* [N,out], row stride ldy */
    int64_t ldy;
    const float *x; /* [N,in] as in forward; NULL when linear_needs_input is false */
    float *dx; /* [N,in] = beta * dx + gradient; NULL: not wanted. May be x */
    float beta;
    bool add; /* to pass->grad, where rows come in several calls; else it is written */
} LinearGrad;

/* Gradients of what is trained go to pass->grad; behind linear_forward of the same rows and keep. */
void linear_backward(const Linear *linear, const LinearKeep *keep, const LinearGrad *grad, const Rows *rows,
                     Pass *pass);

bool linear_is_trained(const Linear *linear);
bool linear_needs_input(const Linear *linear); /* for its own gradients */

#endif
