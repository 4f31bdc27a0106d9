/* adapter_model.safetensors: strict reading. */
#include "common/slots/slots.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/model/stored.h"
#include "common/slots/slots_tensor.h"

#include <stdlib.h>
#include <string.h>

/* PEFT before 0.6 wrote the bias of an adapted module without "base_layer". */
static const TensorView *find_name(const SafeTensors *file, const char *name)
{
    const TensorView *found = safetensors_find(file, name);
    const char *infix = strstr(name, ".base_layer.bias");
    if (found || !infix)
        return found;
    char *old = xprintf("%.*s.bias", (int)(infix - name), name);
    found = safetensors_find(file, old);
    free(old);
    return found;
}

static const TensorView *find_tensor(const SafeTensors *file, const Slot *slot)
{
    const TensorView *found = find_name(file, slot->name);
    return found || !slot->old_name ? found : find_name(file, slot->old_name);
}

/* A frozen table that came along. */
static bool is_saved_base(const SlotTable *table, const char *name)
{
    for (int i = 0; i < table->base_count; i++)
        if (strcmp(table->bases[i].name, name) == 0)
            return true;
    return false;
}

/* With bias=all PEFT 0.21 also writes the biases inside its wrappers of saved
 * modules, one frozen and one twice; it ignores them itself when it loads. */
static bool is_wrapper_part(const char *name)
{
    return strstr(name, ".original_module.") || strstr(name, ".modules_to_save.");
}

/* A file of which no name is known: PEFT's names for another model, or those of another tool. */
static bool strange_hint(const SafeTensors *file, Err *err)
{
    static const char prefix[] = "base_model.model.";
    if (safetensors_count(file) == 0)
        return err_hint(err, "the file holds no tensor");
    for (int64_t t = 0; t < safetensors_count(file); t++) {
        const char *name = safetensors_at(file, t)->name;
        if (text_starts(name, prefix))
            return err_hint(err, "the file has '%s': it is for another kind of model, or for other modules", name);
    }
    return err_hint(err, "the file's '%s' is not a name of PEFT's, which begin with '%s': convert it",
                    safetensors_at(file, 0)->name, prefix);
}

/* Every slot has its tensor, every tensor its slot. */
static bool check_names(const SlotTable *table, const SafeTensors *file, Err *err)
{
    const TensorView **used = xcalloc((size_t)table->count + 1, sizeof *used);
    Text missing = { 0 }, unexpected = { 0 };
    int lacks = 0, extra = 0, count = 0;
    for (int i = 0; i < table->count; i++) {
        used[i] = find_tensor(file, &table->slots[i]);
        if (!used[i])
            text_sample(&missing, &lacks, table->slots[i].name);
        else
            count++;
    }
    for (int64_t t = 0; t < safetensors_count(file); t++) {
        const TensorView *tensor = safetensors_at(file, t);
        bool known = is_wrapper_part(tensor->name) || is_saved_base(table, tensor->name);
        for (int i = 0; !known && i < table->count; i++)
            known = used[i] == tensor;
        if (!known)
            text_sample(&unexpected, &extra, tensor->name);
    }
    if (lacks > 0)
        err_set(err, ERR_INPUT, "%s %s", count > 0 ? "the adapter lacks" : "no tensor of this run: no",
                text_sampled(&missing, lacks));
    else if (extra > 0)
        err_set(err, ERR_INPUT, "the adapter has unexpected %s", text_sampled(&unexpected, extra));
    if (lacks > 0 && count == 0)
        strange_hint(file, err);
    else if (lacks > 0 || extra > 0)
        err_hint(err, "the lora settings of the run have to be those of the adapter");
    text_release(&missing);
    text_release(&unexpected);
    free(used);
    return lacks == 0 && extra == 0;
}

/* Transformers would take the adapter's table: it has to be the one that this run takes. */
static bool same_values(const TensorView *a, const TensorView *b, Err *err)
{
    enum { CHUNK = 4096 };
    float x[CHUNK], y[CHUNK];
    if (a->count != b->count)
        return false;
    for (int64_t at = 0; at < a->count; at += CHUNK) {
        const int64_t n = a->count - at < CHUNK ? a->count - at : CHUNK;
        if (!tensor_to_f32(x, a, at, n, err) || !tensor_to_f32(y, b, at, n, err))
            return false;
        for (int64_t i = 0; i < n; i++)
            if (x[i] != y[i])
                return false;
    }
    return true;
}

static bool check_bases(const SlotTable *table, const SafeTensors *file, Err *err)
{
    SafeTensors *model = NULL;
    bool ok = true;
    for (int i = 0; ok && i < table->base_count; i++) {
        const TensorView *tensor = safetensors_find(file, table->bases[i].name);
        if (!tensor)
            continue;
        if (!model && !(model = safetensors_open_model(table->arch->folder, err)))
            return false;
        const Module *m = &table->arch->modules[table->bases[i].module];
        const TensorView *own = stored_source(model, table->arch, m, false);
        ok = own && same_values(tensor, own, err);
        if (!ok && err && err->kind == ERR_NONE) {
            err_set(err, ERR_INPUT, "'%s' is not the model's '%s'", tensor->name, m->path);
            err_hint(err, "the adapter was made with another model, or a resized one");
        }
    }
    safetensors_close(model);
    return ok;
}

/* Of a head that was made for other labels. */
static bool is_other(const SlotTable *table, const Slot *slot, const TensorView *tensor)
{
    Err none = { 0 };
    return table->arch->modules[slot->module].is_new && !slot_fits(slot, tensor, &none);
}

/* body: a head of other labels stays. */
static bool read_slots(float *values, const SlotTable *table, const SafeTensors *file, bool body, Err *err)
{
    if (!check_names(table, file, err) || !check_bases(table, file, err))
        return false;
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        const TensorView *tensor = find_tensor(file, slot);
        if (body && is_other(table, slot, tensor))
            continue;
        if (!slot_fits(slot, tensor, err) || !slot_read(values + slot->offset, slot, tensor, err) ||
            !slot_is_finite(slot, values, err))
            return false;
    }
    return true;
}

SafeTensors *slots_open_adapter(const char *folder, Err *err)
{
    char *path = path_join(folder, "adapter_model.safetensors"), *old = path_join(folder, "adapter_model.bin");
    SafeTensors *file = NULL;
    if (file_exists(path)) {
        file = safetensors_open(path, err);
    } else {
        err_set(err, ERR_INPUT, "no adapter_model.safetensors in '%s'", folder);
        if (file_exists(old))
            err_hint(err,
                     "convert its adapter_model.bin, which an older PEFT wrote: python3 -c \"import torch; "
                     "from safetensors.torch import save_file; save_file({k: v.contiguous() for k, v in "
                     "torch.load('%s', map_location='cpu', weights_only=True).items()}, '%s')\"",
                     old, path);
        else
            err_hint(err, "an adapter's folder holds adapter_config.json and adapter_model.safetensors");
    }
    free(old);
    free(path);
    return file;
}

static bool read_folder(float *values, const SlotTable *table, const char *folder, bool body, Err *err)
{
    char *path = path_join(folder, "adapter_model.safetensors");
    SafeTensors *file = slots_open_adapter(folder, err);
    const bool ok = file && read_slots(values, table, file, body, err);
    if (file && !ok && err && !strstr(err->where, path))
        err_at(err, "%s", path);
    safetensors_close(file);
    free(path);
    return ok;
}

bool slots_read_adapter(float *values, const SlotTable *table, const char *folder, Err *err)
{
    memset(values, 0, (size_t)table->size * sizeof *values);
    return read_folder(values, table, folder, false, err);
}

bool slots_read_body(float *values, const SlotTable *table, const char *folder, Err *err)
{
    return read_folder(values, table, folder, true, err);
}
