/* Where the first values come from: counters for what is new, the model's files
 * for what is trained from its own value, an adapter's file for all. */
#include "common/slots/slots.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/slots/slots_tensor.h"
#include "common/tensor/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Told apart from the keys of data and dropout, which have a step and a layer. */
enum { STREAM_INIT = 0x696e6974 };

static RngKey slot_key(uint64_t seed, const Slot *slot)
{
    return rng_key(seed, -1, (int64_t)digest_fast(slot->name, strlen(slot->name)), STREAM_INIT);
}

/* lora_A: kaiming_uniform with a = sqrt(5), which is U(-1/sqrt(in), 1/sqrt(in)),
 * or N(0, 1/r). Source: PEFT, LoraLayer.reset_lora_parameters. */
static void init_a(float *values, const Slot *slot, InitMode mode, uint64_t seed)
{
    if (mode == INIT_GAUSSIAN)
        rng_normal(values, slot->count, 1.0f / (float)slot->dim[0], slot_key(seed, slot));
    else
        rng_uniform_fill(values, slot->count, 1.0f / sqrtf((float)slot->dim[1]),
                         slot_key(seed, slot));
}

/* Names a file may have for a tensor of the model: with the family's prefix or
 * none, norms with weight and bias or the gamma and beta of old BERT files. */
static const TensorView *find_base(const SafeTensors *files, const ModelArch *arch,
                                   const Module *module, bool bias)
{
    static const char *const names[2][2] = { { "weight", "gamma" }, { "bias", "beta" } };
    const TensorView *found = NULL;
    const char *prefix = arch->family->prefix;
    for (int k = 0; !found && k < (module->kind == MODULE_NORM ? 2 : 1); k++) {
        char *name = xprintf("%s.%s", module->path, names[bias][k]);
        found = safetensors_find(files, name);
        if (!found && text_starts(name, prefix))
            found = safetensors_find(files, name + strlen(prefix));
        free(name);
    }
    return found;
}

static bool init_base(float *values, const Slot *slot, const ModelArch *arch,
                      const SafeTensors *files, uint64_t seed, Err *err)
{
    const Module *module = &arch->modules[slot->module];
    const bool bias = slot->kind == SLOT_BIAS;
    const TensorView *tensor = find_base(files, arch, module, bias);
    if (tensor && !slot_fits(slot, tensor, err))
        return module->is_new ? err_hint(err, "the model's head is for other labels: take as many, "
                                              "or a model without a head")
                              : false;
    if (tensor)
        return tensor_to_f32(values, tensor, 0, slot->count, err);
    if (!module->is_new) {
        err_set(err, ERR_INPUT, "no tensor '%s.%s'", module->path, bias ? "bias" : "weight");
        return err_at(err, "%s", arch->folder);
    }
    if (!bias)
        rng_normal(values, slot->count, (float)arch->initializer_range, slot_key(seed, slot));
    return true;
}

static bool is_base(const Slot *slot)
{
    return slot->kind == SLOT_BIAS || slot->kind == SLOT_WEIGHT;
}

static bool needs_files(const SlotTable *table)
{
    for (int i = 0; i < table->count; i++)
        if (is_base(&table->slots[i]))
            return true;
    return false;
}

bool slots_init(float *values, const SlotTable *table, const ModelArch *arch,
                const LoraConfig *lora, uint64_t seed, Err *err)
{
    if (lora->init_adapter)
        return slots_read_adapter(values, table, lora->init_adapter, err);
    memset(values, 0, (size_t)table->size * sizeof *values);
    SafeTensors *files = NULL;
    if (needs_files(table) && !(files = safetensors_open_model(arch->folder, err)))
        return false;
    bool ok = true;
    for (int i = 0; ok && i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        if (slot->kind == SLOT_LORA_A)
            init_a(values + slot->offset, slot, lora->init, seed);
        else if (is_base(slot))
            ok = init_base(values + slot->offset, slot, arch, files, seed, err);
    }
    safetensors_close(files);
    return ok;
}
