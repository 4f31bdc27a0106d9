/* segments - several adapters over one base in one call: sequences that lie beside each other share an adapter, and
 * each module's LoRA is added by segments to the product that all rows share.
 *
 *   y = x W^T of all rows;     y[segment] += (x[segment] A^T) (scale B)^T
 *
 * Ranks differ from adapter to adapter; none is padded. Source: S-LoRA, Punica (segmented gather matrix-vector
 * products); here rows stand in order, so nothing is gathered.
 *
 * Owner: worker/model/adapter. Threads: the caller's one. */
#ifndef WORKER_LAYERS_SEGMENTS_H
#define WORKER_LAYERS_SEGMENTS_H

#include "worker/layers/module.h"
#include "worker/layers/pass.h"

/* What an adapter adds to a module; R 0: nothing. Borrowed. */
typedef struct ModuleLora {
    int64_t R;
    float scale;
    const float *a; /* [R, in] */
    const float *b; /* [out, R] */
    const float *turned; /* [R, out]: scale * B, of as many whole vectors of outputs as there are */
} ModuleLora;

/* The sequences [first, end) of a call. */
typedef struct RowSegment {
    int64_t first, end;
    const ModuleLora *modules; /* by ModuleView.index; NULL: the base alone */
} RowSegment;

/* Outputs that `turned` has, of out. */
int64_t segments_turned(int64_t out);

/* y[N,out] (row stride ldy) += what the segments' adapters add to the module, of x[N,in]. */
void segments_add(float *y, int64_t ldy, const float *x, const Rows *rows, const ModuleView *module, Pass *pass);

#endif
