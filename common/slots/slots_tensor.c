#include "common/slots/slots_tensor.h"

#include "common/base/digest.h"
#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/stored.h"

#include <stdlib.h>
#include <string.h>

/* Another stream than those of data and dropout, which have a step and a layer. */
enum { STREAM_INIT = 0x696e6974 };

RngKey slot_key(uint64_t seed, const Slot *slot)
{
    return rng_key(seed, -1, (int64_t)digest_fast(slot->name, strlen(slot->name)), STREAM_INIT);
}

Slot slot_for_weight(const ModelArch *arch, const Module *module)
{
    Slot slot = { .kind = SLOT_WEIGHT, .transposed = module->transposed, .count = stored_count(module) };
    slot.dims = stored_shape(arch, module, false, slot.dim);
    if (module->transposed) {
        slot.dim[0] = module->out;
        slot.dim[1] = module->in;
    }
    return slot;
}

void slot_file_shape(const Slot *slot, int64_t dim[4])
{
    for (int d = 0; d < 4; d++)
        dim[d] = slot->dim[d];
    if (slot->transposed) {
        dim[0] = slot->dim[1];
        dim[1] = slot->dim[0];
    }
}

void matrix_transpose(float *out, const float *x, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            out[c * rows + r] = x[r * columns + c];
}

/* A run that diverged elsewhere, or a damaged file: answers from it would be none. */
bool slot_is_finite(const Slot *slot, const float *values, Err *err)
{
    if (maths_not_finite(values + slot->offset, slot->count) == slot->count)
        return true;
    err_set(err, ERR_INPUT, "'%s' holds values that are not finite", slot->name);
    return err_hint(err, "the file is damaged, or its training diverged: take an earlier checkpoint");
}

bool slot_read(float *out, const Slot *slot, const TensorView *tensor, Err *err)
{
    if (!slot->transposed)
        return tensor_to_f32(out, tensor, 0, slot->count, err);
    float *room = mem_alloc((size_t)slot->count * sizeof *room, err);
    const bool ok = room && tensor_to_f32(room, tensor, 0, slot->count, err);
    if (ok)
        matrix_transpose(out, room, slot->dim[1], slot->dim[0]);
    free(room);
    return ok;
}

bool slot_fits(const Slot *slot, const TensorView *tensor, Err *err)
{
    int64_t dim[4];
    slot_file_shape(slot, dim);
    if (tensor_has_shape(tensor, slot->dims, dim))
        return true;
    Text has = { 0 }, wants = { 0 };
    shape_write(&has, tensor->dims, tensor->dim);
    shape_write(&wants, slot->dims, dim);
    err_set(err, ERR_INPUT, "'%s' has the shape %s, this run needs %s", tensor->name, has.data, wants.data);
    text_release(&has);
    text_release(&wants);
    return err_at(err, "%s", tensor->file);
}
