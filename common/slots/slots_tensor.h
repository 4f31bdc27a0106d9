/* slots_tensor - a slot beside a tensor of a file.
 *
 * Threads: any. */
#ifndef COMMON_SLOTS_SLOTS_TENSOR_H
#define COMMON_SLOTS_SLOTS_TENSOR_H

#include "common/base/rng.h"
#include "common/slots/slots.h"
#include "common/tensor/safetensors.h"

/* The module's weight as a slot: in memory [out, in], and as files hold it. No name, no offset. */
Slot slot_for_weight(const ModelArch *arch, const Module *module);

/* The slot's shape in files. */
void slot_file_shape(const Slot *slot, int64_t dim[4]);

/* Values that are no numbers: an error. */
MUST_USE bool slot_is_finite(const Slot *slot, const float *values, Err *err);

/* out[count] <- a tensor that fits. */
MUST_USE bool slot_read(float *out, const Slot *slot, const TensorView *tensor, Err *err);

/* Of the random numbers that the slot begins with. */
RngKey slot_key(uint64_t seed, const Slot *slot);

/* out[columns,rows] = x[rows,columns] */
void matrix_transpose(float *out, const float *x, int64_t rows, int64_t columns);

/* False with both shapes in *err when the tensor is shaped otherwise. */
MUST_USE bool slot_fits(const Slot *slot, const TensorView *tensor, Err *err);

#endif
