/* Where the first values come from: counters for what is new, the model's files
 * for what begins at the value that it has there, an adapter's file for all. */
#include "common/slots/slots.h"

#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/model/stored.h"
#include "common/slots/inits.h"
#include "common/slots/slots_tensor.h"
#include "common/tensor/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* A damaged file, or a model whose training diverged. */
static bool check_finite(const float *values, const Slot *slot, const TensorView *tensor, Err *err)
{
    if (maths_not_finite(values, slot->count) == slot->count)
        return true;
    err_set(err, ERR_TRAINING, "'%s' holds values that are not finite", tensor->name);
    err_hint(err, "the file is damaged, or the model's training diverged: take another copy or an earlier state of it");
    return err_at(err, "%s", tensor->file);
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
        return slot_read(values, slot, tensor, err) && check_finite(values, slot, tensor, err);
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
    if (inits_shift(lora))
        return true;
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

/* Two tables that config.json calls one cannot be one slot. */
static bool check_ties(const SlotTable *table, const ModelArch *arch, const SafeTensors *files, Err *err)
{
    for (int i = 0; table->whole && i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        if (!m->tied || stored_is_tied(files, arch, m))
            continue;
        err_set(err, ERR_INPUT, "'%s' is tied to the word table by config.json, and another matrix in the files",
                m->path);
        err_hint(err, "train both by model_config: {tie_word_embeddings: false}");
        return err_at(err, "%s", arch->folder);
    }
    return true;
}

/* w[out,in] of the module, as it is multiplied with. */
static bool read_weight(float *w, const ModelArch *arch, int module, const SafeTensors *files, Err *err)
{
    const Module *m = &arch->modules[module];
    const TensorView *tensor = stored_source(files, arch, m, false);
    const Slot shape = { .dims = 2, .dim = { m->out, m->in }, .count = m->out * m->in, .transposed = m->transposed };
    if (!tensor) {
        err_set(err, ERR_INPUT, "no weight of '%s', which lora.init_lora_weights looks at", m->path);
        return err_at(err, "%s", arch->folder);
    }
    return slot_fits(&shape, tensor, err) && slot_read(w, &shape, tensor, err);
}

/* A and B of a module. */
static bool init_lora(float *values, const SlotTable *table, int module, const SafeTensors *files,
                      const LoraConfig *lora, uint64_t seed, Err *err)
{
    const Module *m = &table->arch->modules[module];
    if (!inits_shift(lora) || m->kind == MODULE_EMBEDDING)
        return inits_module(values, table, module, NULL, lora, seed, err);
    float *w = mem_alloc((size_t)(m->out * m->in) * sizeof *w, err);
    const bool ok =
        w && read_weight(w, table->arch, module, files, err) && inits_module(values, table, module, w, lora, seed, err);
    free(w);
    return ok;
}

static bool init_all(float *values, const SlotTable *table, const SafeTensors *files, const LoraConfig *lora,
                     uint64_t seed, Err *err)
{
    bool ok = inits_check(table, lora, err);
    memset(values, 0, (size_t)table->size * sizeof *values);
    for (int i = 0; ok && i < table->count; i++)
        if (is_base(&table->slots[i]))
            ok = init_base(values + table->slots[i].offset, &table->slots[i], table->arch, files, seed, err);
    for (int i = 0; ok && i < table->arch->module_count; i++)
        if (table->modules[i].a >= 0)
            ok = init_lora(values, table, i, files, lora, seed, err);
    return ok;
}

bool slots_init(float *values, const SlotTable *table, const ModelArch *arch, const LoraConfig *lora, uint64_t seed,
                Err *err)
{
    SafeTensors *files = NULL;
    if (needs_files(table, arch, lora) && !(files = safetensors_open_model(arch->folder, err)))
        return false;
    bool ok = !files || (check_heads(table, arch, files, err) && check_ties(table, arch, files, err));
    if (ok && lora->init_adapter)
        ok = slots_read_adapter(values, table, lora->init_adapter, err);
    else if (ok)
        ok = init_all(values, table, files, lora, seed, err);
    safetensors_close(files);
    return ok;
}
