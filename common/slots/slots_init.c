/* Where the first values come from: counters for what is new, the model's files
 * for what begins at the value that it has there, an adapter's file for all. */
#include "common/slots/slots.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/model/stored.h"
#include "common/slots/slots_tensor.h"
#include "common/tensor/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Another stream than those of data and dropout, which have a step and a layer. */
enum { STREAM_INIT = 0x696e6974 };

static RngKey slot_key(uint64_t seed, const Slot *slot)
{
    return rng_key(seed, -1, (int64_t)digest_fast(slot->name, strlen(slot->name)), STREAM_INIT);
}

/* lora_A: kaiming_uniform with a = sqrt(5), which is U(-1/sqrt(in), 1/sqrt(in)),
 * or N(0, 1/r). Source: PEFT, LoraLayer.reset_lora_parameters. */
static void init_a(float *values, const Slot *slot, InitMode mode, uint64_t seed)
{
    const int64_t r = slot->dim[0], in = slot->count / r;
    if (mode == INIT_GAUSSIAN)
        rng_normal(values, slot->count, 1.0f / (float)r, slot_key(seed, slot));
    else
        rng_uniform_fill(values, slot->count, 1.0f / sqrtf((float)in), slot_key(seed, slot));
}

/* Of an embedding it is A that is 0, and B that is N(0, 1), in both modes. */
static void init_lora(float *values, const Slot *slot, const Module *module, InitMode mode, uint64_t seed)
{
    const bool is_a = slot->kind == SLOT_LORA_A;
    if (module->kind == MODULE_EMBEDDING && !is_a)
        rng_normal(values, slot->count, 1.0f, slot_key(seed, slot));
    else if (module->kind != MODULE_EMBEDDING && is_a)
        init_a(values, slot, mode, seed);
}

static bool init_base(float *values, const Slot *slot, const ModelArch *arch, const SafeTensors *files, uint64_t seed,
                      Err *err)
{
    const Module *module = &arch->modules[slot->module];
    const bool bias = slot->kind == SLOT_BIAS;
    const TensorView *tensor = stored_source(files, arch, module, bias);
    if (tensor && !slot_fits(slot, tensor, err))
        return module->is_new ? err_hint(err, "the model's head is for other labels: take as many, "
                                              "or a model without a head")
                              : false;
    if (tensor)
        return slot_read(values, slot, tensor, err);
    if (!module->is_new) {
        char *name = stored_name(arch, module, bias, 0);
        err_set(err, ERR_INPUT, "no tensor '%s'", name);
        free(name);
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

/* A new head that is not trained whole has to be in the files. */
static bool is_untrained_head(const SlotTable *table, const ModelArch *arch, int module)
{
    return arch->modules[module].is_new && table->modules[module].weight < 0;
}

static bool needs_files(const SlotTable *table, const ModelArch *arch, const LoraConfig *lora)
{
    for (int i = 0; i < table->count && !lora->init_adapter; i++)
        if (is_base(&table->slots[i]))
            return true;
    for (int i = 0; i < arch->module_count; i++)
        if (is_untrained_head(table, arch, i))
            return true;
    return false;
}

static bool check_heads(const SlotTable *table, const ModelArch *arch, const SafeTensors *files, Err *err)
{
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        if (!is_untrained_head(table, arch, i) || stored_source(files, arch, m, false))
            continue;
        err_set(err, ERR_INPUT, "the model has no '%s', and nothing trains it", m->path);
        err_hint(err, "lora.modules_to_save: [%.*s]", (int)strcspn(m->path, "."), m->path);
        return err_at(err, "%s", arch->folder);
    }
    return true;
}

static bool init_all(float *values, const SlotTable *table, const ModelArch *arch, const SafeTensors *files,
                     InitMode mode, uint64_t seed, Err *err)
{
    bool ok = true;
    memset(values, 0, (size_t)table->size * sizeof *values);
    for (int i = 0; ok && i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        if (is_base(slot))
            ok = init_base(values + slot->offset, slot, arch, files, seed, err);
        else
            init_lora(values + slot->offset, slot, &arch->modules[slot->module], mode, seed);
    }
    return ok;
}

bool slots_init(float *values, const SlotTable *table, const ModelArch *arch, const LoraConfig *lora, uint64_t seed,
                Err *err)
{
    SafeTensors *files = NULL;
    if (needs_files(table, arch, lora) && !(files = safetensors_open_model(arch->folder, err)))
        return false;
    bool ok = !files || check_heads(table, arch, files, err);
    if (ok && lora->init_adapter)
        ok = slots_read_adapter(values, table, lora->init_adapter, err);
    else if (ok)
        ok = init_all(values, table, arch, files, lora->init, seed, err);
    safetensors_close(files);
    return ok;
}
