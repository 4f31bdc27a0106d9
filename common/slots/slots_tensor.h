/* slots_tensor - a slot beside a tensor of a file. */
#ifndef COMMON_SLOTS_SLOTS_TENSOR_H
#define COMMON_SLOTS_SLOTS_TENSOR_H

#include "common/slots/slots.h"
#include "common/tensor/safetensors.h"

/* False with both shapes in *err when the tensor is shaped otherwise. */
MUST_USE bool slot_fits(const Slot *slot, const TensorView *tensor, Err *err);

#endif
