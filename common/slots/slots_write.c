/* adapter_model.safetensors and adapter_config.json, as PEFT writes them. */
#include "common/slots/slots.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/stored.h"
#include "common/slots/adalora.h"
#include "common/slots/slots_config.h"
#include "common/slots/slots_tensor.h"

#include <stdlib.h>
#include <string.h>

/* What has to be made for a tensor that is not in the values as the file holds it. */
static bool take_room(TensorOut *out, float **room, int64_t count, Err *err)
{
    *room = mem_alloc((size_t)count * sizeof **room, err);
    out->data = *room;
    return *room != NULL;
}

/* [A; A0] */
static void stack_rows(float *room, const float *now, const float *first, int64_t count)
{
    memcpy(room, now, (size_t)count * sizeof *room);
    memcpy(room + count, first, (size_t)count * sizeof *room);
}

/* [B, -B0] of [out,r] each */
static void join_columns(float *room, const float *now, const float *first, int64_t rows, int64_t r)
{
    for (int64_t o = 0; o < rows; o++)
        for (int64_t k = 0; k < r; k++) {
            room[o * 2 * r + k] = now[o * r + k];
            room[o * 2 * r + r + k] = -first[o * r + k];
        }
}

/* The start is taken off again, s (B A - B0 A0), as the base on disk still has it: PEFT's conversion to plain LoRA
 * (peft/utils/save_and_load.py, subtract_mutated_init). */
static bool doubled_out(TensorOut *out, float **room, const Slot *slot, const float *first, Err *err)
{
    const float *now = out->data;
    if (!take_room(out, room, 2 * slot->count, err))
        return false;
    if (slot->kind == SLOT_LORA_A)
        stack_rows(*room, now, first + slot->offset, slot->count);
    else
        join_columns(*room, now, first + slot->offset, slot->dim[0], slot->dim[1]);
    out->dim[slot->kind == SLOT_LORA_A ? 0 : 1] *= 2;
    return true;
}

/* A view of the slot as files hold it; `room` gets what has to be made for it. */
static bool slot_out(TensorOut *out, float **room, const Slot *slot, const SlotTable *table, const AdapterForm *form,
                     Err *err)
{
    *out = (TensorOut){ .name = slot->name, .dims = slot->dims, .data = form->values + slot->offset };
    int64_t dim[4];
    slot_file_shape(slot, dim);
    memcpy(out->dim, dim, sizeof dim);
    if (form->first && (slot->kind == SLOT_LORA_A || slot->kind == SLOT_LORA_B))
        return doubled_out(out, room, slot, form->first, err);
    if (!slot->transposed)
        return adalora_crop(out, room, slot, table, form, err);
    const float *now = out->data;
    if (!take_room(out, room, slot->count, err))
        return false;
    matrix_transpose(*room, now, slot->dim[0], slot->dim[1]);
    return true;
}

static bool base_out(TensorOut *out, float **room, const SavedBase *base, const ModelArch *arch,
                     const SafeTensors *files, Err *err)
{
    const Module *m = &arch->modules[base->module];
    const TensorView *tensor = stored_source(files, arch, m, false);
    if (!tensor || tensor->count != stored_count(m))
        return err_set(err, ERR_INPUT, "no tensor for '%s'", base->name) || err_at(err, "%s", arch->folder);
    *out = (TensorOut){ .name = base->name, .dims = 2, .dim = { m->out, m->in } };
    *room = mem_alloc((size_t)tensor->count * sizeof **room, err);
    out->data = *room;
    return *room && tensor_to_f32(*room, tensor, 0, tensor->count, err);
}

static bool write_tensors(const char *folder, const AdapterForm *form, const SlotTable *table, Err *err)
{
    const int count = table->count + table->base_count;
    TensorOut *tensors = xcalloc((size_t)count, sizeof *tensors);
    float **rooms = xcalloc((size_t)count, sizeof *rooms);
    SafeTensors *files = NULL;
    bool ok = table->base_count == 0 || (files = safetensors_open_model(table->arch->folder, err));
    for (int i = 0; ok && i < table->count; i++)
        ok = slot_out(&tensors[i], &rooms[i], &table->slots[i], table, form, err);
    for (int i = table->count; ok && i < count; i++)
        ok = base_out(&tensors[i], &rooms[i], &table->bases[i - table->count], table->arch, files, err);
    char *path = path_join(folder, "adapter_model.safetensors");
    ok = ok && safetensors_write(path, tensors, count, err);
    free(path);
    safetensors_close(files);
    for (int i = 0; i < count; i++)
        free(rooms[i]);
    free(rooms);
    free(tensors);
    return ok;
}

bool slots_write_adapter(const char *folder, const AdapterForm *form, const SlotTable *table, const LoraConfig *lora,
                         const char *model_name, Err *err)
{
    json_t *config = slots_config_json(table, form, lora, model_name);
    char *path = path_join(folder, "adapter_config.json");
    const bool ok = write_tensors(folder, form, table, err) && json_write(path, config, err);
    free(path);
    json_decref(config);
    return ok;
}
