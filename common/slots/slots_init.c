/* Where the first values come from: counters for what is new, the model's files
 * for what begins at the value that it has there, an adapter's file for all. */
#include "common/slots/slots.h"

#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/model/stored.h"
#include "common/slots/adalora.h"
#include "common/slots/inits.h"
#include "common/slots/slots_tensor.h"
#include "common/tensor/safetensors.h"

#include <math.h>
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

static bool no_tensor(const ModelArch *arch, const Module *module, bool bias, Err *err)
{
    char *name = stored_name(arch, module, bias, 0);
    err_set(err, ERR_INPUT, "no tensor '%s'", name);
    free(name);
    return err_at(err, "%s", arch->folder);
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
    if (!module->is_new)
        return no_tensor(arch, module, bias, err);
    for (int64_t i = 0; module->kind == MODULE_NORM && i < slot->count; i++)
        values[i] = bias ? 0 : 1;
    if (!bias && module->kind != MODULE_NORM)
        rng_normal(values, slot->count, (float)arch->initializer_range, slot_key(seed, slot));
    return true;
}

static bool is_base(const Slot *slot)
{
    return slot->kind == SLOT_BIAS || slot->kind == SLOT_WEIGHT;
}

/* Its first values are made of the model's files. */
static bool is_of_files(const Slot *slot)
{
    return is_base(slot) || slot->kind == SLOT_MAGNITUDE || slot->kind == SLOT_TOKENS;
}

/* A new head that is not trained whole has to be in the files. */
static bool is_untrained_head(const SlotTable *table, const ModelArch *arch, int module)
{
    const Module *m = &arch->modules[module];
    return m->is_new && m->role != ROLE_IDLE && table->modules[module].weight < 0;
}

static bool needs_files(const SlotTable *table, const ModelArch *arch, const LoraConfig *lora)
{
    if (inits_shift(lora))
        return true;
    for (int i = 0; i < table->count && (!lora->init_adapter || lora->other_head); i++)
        if (is_of_files(&table->slots[i]))
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

/* w[out,in] of the module, as it is multiplied with, owned; NULL with *err set. */
static float *read_weight(const ModelArch *arch, int module, const SafeTensors *files, Err *err)
{
    const Module *m = &arch->modules[module];
    const Slot shape = slot_for_weight(arch, m);
    const TensorView *tensor = stored_source(files, arch, m, false);
    float *w = NULL;
    if (!tensor)
        no_tensor(arch, m, false, err);
    else if (slot_fits(&shape, tensor, err))
        w = mem_alloc((size_t)shape.count * sizeof *w, err);
    if (!w || slot_read(w, &shape, tensor, err))
        return w;
    free(w);
    return NULL;
}

/* Rows that are trained by themselves begin as those of the table. */
static bool init_tokens(float *values, const SlotTable *table, int module, const SafeTensors *files, Err *err)
{
    const Module *m = &table->arch->modules[module];
    const TensorView *tensor = stored_source(files, table->arch, m, false);
    const Slot shape = slot_for_weight(table->arch, m);
    bool ok = tensor ? slot_fits(&shape, tensor, err) : no_tensor(table->arch, m, false, err);
    for (int64_t i = 0; ok && i < table->token_count; i++)
        ok = tensor_to_f32(values + i * m->in, tensor, table->tokens[i] * m->in, m->in, err);
    return ok;
}

/* A and B of a module. */
static bool init_lora(float *values, const SlotTable *table, int module, const SafeTensors *files,
                      const LoraConfig *lora, uint64_t seed, Err *err)
{
    const Module *m = &table->arch->modules[module];
    if (!inits_shift(lora) || m->kind == MODULE_EMBEDDING)
        return inits_module(values, table, module, NULL, lora, seed, err);
    float *w = read_weight(table->arch, module, files, err);
    const bool ok = w && inits_module(values, table, module, w, lora, seed, err);
    free(w);
    return ok;
}

/* norms[out] of the rows of w[out,in]; by_columns: [in] of its columns. */
static void find_norms(float *norms, const float *w, int64_t out, int64_t in, bool by_columns)
{
    double *sums = xcalloc((size_t)(by_columns ? in : out), sizeof *sums);
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++)
            sums[by_columns ? i : o] += (double)w[o * in + i] * (double)w[o * in + i];
    for (int64_t k = 0; k < (by_columns ? in : out); k++)
        norms[k] = (float)sqrt(sums[k]);
    free(sums);
}

/* w[out,in] += scale B A; of a table scale (B A)^T. */
static void add_start(float *w, const float *values, const SlotTable *table, int module)
{
    const Module *m = &table->arch->modules[module];
    const ModuleSlots *of = &table->modules[module];
    const float *a = values + table->slots[of->a].offset, *b = values + table->slots[of->b].offset;
    const bool is_table = m->kind == MODULE_EMBEDDING;
    for (int64_t o = 0; o < m->out; o++)
        for (int64_t r = 0; r < of->r; r++) {
            const float by = of->scale * (is_table ? a[r * m->out + o] : b[o * of->r + r]);
            for (int64_t i = 0; by != 0 && i < m->in; i++)
                w[o * m->in + i] += by * (is_table ? b[i * of->r + r] : a[r * m->in + i]);
        }
}

/* DoRA's magnitudes begin as the lengths of the rows (of a table: columns) of W and what A and B add to it, unless that
 * was taken out of W before. Source: PEFT, tuners/lora/dora.py, update_layer. */
static bool init_magnitude(float *values, const SlotTable *table, int module, const SafeTensors *files,
                           const LoraConfig *lora, Err *err)
{
    const Module *m = &table->arch->modules[module];
    float *w = read_weight(table->arch, module, files, err);
    const bool ok = w != NULL;
    if (ok && !inits_shift(lora))
        add_start(w, values, table, module);
    if (ok)
        find_norms(values + table->slots[table->modules[module].magnitude].offset, w, m->out, m->in,
                   m->kind == MODULE_EMBEDDING);
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
    for (int i = 0; ok && i < table->count; i++)
        if (table->slots[i].kind == SLOT_TOKENS)
            ok = init_tokens(values + table->slots[i].offset, table, table->slots[i].module, files, err);
    for (int i = 0; ok && i < table->arch->module_count; i++)
        if (table->modules[i].a >= 0)
            ok = init_lora(values, table, i, files, lora, seed, err) &&
                 (table->modules[i].magnitude < 0 || init_magnitude(values, table, i, files, lora, err));
    return ok;
}

/* An adapter whose triplets are not all there, in a table that has them all: the others begin anew, with E = 0, so
 * that they change nothing, and may win. */
static bool read_cropped(float *values, const SlotTable *table, const LoraConfig *lora, json_t *masks, uint64_t seed,
                         Err *err)
{
    LoraConfig settings = *lora;
    settings.rank_masks = masks;
    SlotTable *small = slots_open(table->arch, &settings, err);
    float *from = small ? mem_alloc((size_t)(small->size + 1) * sizeof *from, err) : NULL;
    bool ok = from && slots_read_adapter(from, small, lora->init_adapter, err);
    memset(values, 0, (size_t)table->size * sizeof *values);
    for (int i = 0; ok && i < table->arch->module_count; i++)
        if (table->modules[i].a >= 0)
            ok = inits_module(values, table, i, NULL, lora, seed, err);
    if (ok)
        adalora_spread(values, table, from, small, masks);
    free(from);
    slots_close(small);
    return ok;
}

/* An adapter of another task: what it has, in fresh values. */
static bool read_other(float *values, const SlotTable *table, const SafeTensors *files, const LoraConfig *lora,
                       uint64_t seed, Err *err)
{
    return init_all(values, table, files, lora, seed, err) && slots_read_body(values, table, lora->init_adapter, err);
}

static bool read_beginning(float *values, const SlotTable *table, const LoraConfig *lora, uint64_t seed, Err *err)
{
    LoraConfig theirs = { 0 };
    bool ok = table->triplets == 0 || lora_config_read(&theirs, lora->init_adapter, err);
    if (ok)
        ok = theirs.rank_masks ? read_cropped(values, table, lora, theirs.rank_masks, seed, err)
                               : slots_read_adapter(values, table, lora->init_adapter, err);
    lora_config_release(&theirs);
    return ok;
}

bool slots_init(float *values, const SlotTable *table, const ModelArch *arch, const LoraConfig *lora, uint64_t seed,
                Err *err)
{
    SafeTensors *files = NULL;
    if (needs_files(table, arch, lora) && !(files = safetensors_open_model(arch->folder, err)))
        return false;
    bool ok = !files || (check_heads(table, arch, files, err) && check_ties(table, arch, files, err));
    if (ok && lora->init_adapter && lora->other_head)
        ok = read_other(values, table, files, lora, seed, err);
    else if (ok && lora->init_adapter)
        ok = read_beginning(values, table, lora, seed, err);
    else if (ok)
        ok = init_all(values, table, files, lora, seed, err);
    safetensors_close(files);
    return ok;
}
