#include "common/slots/slots_tensor.h"

static bool has_shape(const TensorView *tensor, const Slot *slot)
{
    return tensor->dims == slot->dims && tensor->dim[0] == slot->dim[0] &&
           (slot->dims == 1 || tensor->dim[1] == slot->dim[1]);
}

static void shape_text(Text *out, int dims, const int64_t *dim)
{
    text_adds(out, "[");
    for (int d = 0; d < dims; d++)
        text_addf(out, "%s%lld", d > 0 ? ", " : "", (long long)dim[d]);
    text_adds(out, "]");
}

bool slot_fits(const Slot *slot, const TensorView *tensor, Err *err)
{
    if (has_shape(tensor, slot))
        return true;
    Text has = { 0 }, wants = { 0 };
    shape_text(&has, tensor->dims, tensor->dim);
    shape_text(&wants, slot->dims, slot->dim);
    err_set(err, ERR_INPUT, "'%s' has the shape %s, this run needs %s", tensor->name, has.data,
            wants.data);
    text_release(&has);
    text_release(&wants);
    return err_at(err, "%s", tensor->file);
}
