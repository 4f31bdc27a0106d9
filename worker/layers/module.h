/* module - one named module of the model as the layers see it: where its frozen
 * tensors lie, and which of its tensors the adapter holds instead or besides.
 *
 * A value; the frozen tensors are borrowed. Offsets are into the flat buffers of
 * values and gradients (common/slots), -1 where there is nothing.
 *
 * Threads: any. */
#ifndef WORKER_LAYERS_MODULE_H
#define WORKER_LAYERS_MODULE_H

#include "worker/layers/frozen.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ModuleView {
    int index; /* in arch->modules: by which a segment's adapter is asked */
    int64_t out, in; /* linear: weight[out,in]; table: rows, width; norm: width, 0 */
    Frozen weight; /* [out,in], a norm's [out,1]: frozen, also where it is trained whole */
    const float *bias; /* frozen; NULL: none */
    int64_t weight_at, bias_at; /* trained whole, trained bias */
    int64_t a_at, b_at; /* LoRA's A[R,in] and B[out,R] */
    int64_t lora_bias_at; /* of B, [out] */
    int64_t magnitude_at; /* DoRA's, [out]; of a table [in] */
    bool triplets; /* A is diag(E) A: the trained A, and E[R] at e_at */
    int64_t e_at;
    int64_t tokens_at; /* rows of the table that are trained by themselves, [token_count, in] */
    const int64_t *tokens; /* which, borrowed */
    int64_t token_count;
    int64_t R; /* 0: not adapted */
    float scale; /* of B A */
} ModuleView;

/* A module that is not there, and trains nothing. */
static inline ModuleView module_none(void)
{
    return (ModuleView){
        .weight_at = -1, .bias_at = -1, .a_at = -1, .b_at = -1, .lora_bias_at = -1, .magnitude_at = -1, .tokens_at = -1
    };
}

static inline bool module_is_trained(const ModuleView *m)
{
    return m->R > 0 || m->weight_at >= 0 || m->bias_at >= 0 || m->tokens_at >= 0;
}

/* The tensor in force: the adapter's, else (or with values NULL) the frozen one. */
static inline Frozen module_weight(const ModuleView *m, const float *values)
{
    return values && m->weight_at >= 0 ? frozen_of_floats(values + m->weight_at, m->weight.out, m->weight.in)
                                       : m->weight;
}

/* The same of what is always floats: gains, and the small tables. */
static inline const float *module_floats(const ModuleView *m, const float *values)
{
    const Frozen weight = module_weight(m, values);
    return frozen_floats(&weight);
}
static inline const float *module_bias(const ModuleView *m, const float *values)
{
    return values && m->bias_at >= 0 ? values + m->bias_at : m->bias;
}

/* Where its gradient goes; NULL: nowhere. */
static inline float *module_grad(float *grad, int64_t at)
{
    return grad && at >= 0 ? grad + at : NULL;
}

#endif
