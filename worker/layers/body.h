/* body - what a sublayer's bodies (attention, mlp) share: from where backward comes.
 *
 * A body reads pass->x and writes pass->o, which the sublayer adds to the residual.
 *
 * Owner: values on the stack of the block's loop. Threads: the caller's one. */
#ifndef WORKER_LAYERS_BODY_H
#define WORKER_LAYERS_BODY_H

#include "worker/layers/norm.h"

typedef struct BodyGrad {
    const float *dy; /* [M,C] at the body's output: pass->y, or what the body leaves alone */
    Inlet input; /* from where the body's input is made again */
    float beta; /* pass->x = beta * pass->x + gradient at the input; 1: it holds the residual's, of the rows that
                   came out */
} BodyGrad;

#endif
