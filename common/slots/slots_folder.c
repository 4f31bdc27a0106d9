/* The folder of what is trained: an adapter's, or a model's that Transformers opens (from_pretrained). */
#include "common/slots/slots.h"

#include "common/base/mem.h"
#include "common/model/model_folder.h"
#include "common/model/stored.h"
#include "common/slots/slots_tensor.h"

#include <stdlib.h>

enum { SHARD_GB = 5 };

/* ---- a whole model is written ------------------------------------------------------------ */

/* Values as a model's file gets them. */
typedef struct WholeModel {
    const SlotTable *table;
    const float *values;
} WholeModel;

/* Row r of the file is column r in memory; a few at a time. */
static bool write_transposed(FILE *file, Dtype dtype, const Slot *slot, const float *x, Err *err)
{
    enum { PIECE = 1024 };
    float piece[PIECE];
    const int64_t rows = slot->dim[1], columns = slot->dim[0];
    bool ok = true;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t at = 0; ok && at < columns; at += PIECE) {
            const int64_t n = columns - at < PIECE ? columns - at : PIECE;
            for (int64_t c = 0; c < n; c++)
                piece[c] = x[(at + c) * rows + r];
            ok = tensor_write_f32(file, dtype, piece, n, NULL, err);
        }
    return ok;
}

static bool write_tensor(void *self, const SavedTensor *t, FILE *file, Err *err)
{
    const WholeModel *m = self;
    const ModuleSlots *of = &m->table->modules[t->module];
    const Slot *slot = &m->table->slots[t->bias ? of->bias : of->weight];
    const float *x = m->values + slot->offset;
    return slot->transposed ? write_transposed(file, t->dtype, slot, x, err)
                            : tensor_write_f32(file, t->dtype, x, slot->count, NULL, err);
}

static bool write_model(const char *folder, const float *values, const SlotTable *table, Dtype dtype, Err *err)
{
    WholeModel model = { table, values };
    SavedModel saved;
    SafeTensors *files = safetensors_open_model(table->arch->folder, err); /* the base, for names and dtypes */
    if (!files)
        return false;
    saved_open(&saved, table->arch, files, dtype, false);
    const ModelWeights weights = { &saved, (int64_t)SHARD_GB * 1000000000, write_tensor, &model };
    const bool ok = model_folder_weights(folder, &weights, err) && model_folder_files(folder, &saved, err);
    saved_release(&saved);
    safetensors_close(files);
    return ok;
}

/* ---- and read ---------------------------------------------------------------------------- */

static bool read_slot(float *values, const Slot *slot, const ModelArch *arch, const SafeTensors *files, Err *err)
{
    const TensorView *tensor = stored_find(files, arch, &arch->modules[slot->module], slot->kind == SLOT_BIAS);
    if (!tensor)
        return err_set(err, ERR_INPUT, "there is no tensor '%s'", slot->name);
    return slot_fits(slot, tensor, err) && slot_read(values + slot->offset, slot, tensor, err) &&
           slot_is_finite(slot, values, err);
}

static bool read_model(float *values, const SlotTable *table, const char *folder, Err *err)
{
    SafeTensors *files = safetensors_open_model(folder, err);
    bool ok = files != NULL;
    for (int i = 0; ok && i < table->count; i++)
        ok = read_slot(values, &table->slots[i], table->arch, files, err) || err_at(err, "%s", folder);
    if (ok && safetensors_count(files) != table->count) {
        ok = err_set(err, ERR_INPUT, "there are %lld tensors, this run has %d", (long long)safetensors_count(files),
                     table->count);
        err_at(err, "%s", folder);
    }
    safetensors_close(files);
    return ok;
}

/* ---- either ---------------------------------------------------------------------------- */

const char *slots_file(const SlotTable *table)
{
    return table->whole ? "model.safetensors" : "adapter_model.safetensors";
}

bool slots_write(const char *folder, const AdapterForm *form, const SlotTable *table, const LoraConfig *lora,
                 const char *model_name, bool exact, Err *err)
{
    return table->whole ? write_model(folder, form->values, table, exact ? DTYPE_F32 : DTYPE_OTHER, err)
                        : slots_write_adapter(folder, form, table, lora, model_name, err);
}

bool slots_read(float *values, const SlotTable *table, const char *folder, Err *err)
{
    return table->whole ? read_model(values, table, folder, err) : slots_read_adapter(values, table, folder, err);
}
