/* orthogonality - AdaLoRA's regulariser: how far the rows of each A and the columns of each B are from orthonormal,
 *
 *   the mean over all A and B of |P - I|,  P = A A^T or B^T B, in the Frobenius norm, not squared
 *
 * (Zhang and others 2023, equation 4; PEFT, AdaLoraModel.forward). It is a term of the mean loss: once a step, and once
 * an evaluation. Masked triplets count.
 *
 * Owner: nothing. Threads: any; the same bits whatever their number. */
#ifndef COMMON_SLOTS_ORTHOGONALITY_H
#define COMMON_SLOTS_ORTHOGONALITY_H

#include "common/slots/slots.h"

/* Of a table without triplets 0. gradient[table->size] += weight times its gradient; NULL: not wanted. */
double orthogonality(float *gradient, const SlotTable *table, const float *values, double weight);

#endif
