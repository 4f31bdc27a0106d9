#include "common/export/gguf_model.h"

#include "common/base/mem.h"
#include "common/export/gguf_arch.h"
#include "common/export/gguf_vocabulary.h"
#include "common/slots/slots_tensor.h"

#include <stdlib.h>
#include <string.h>

enum { DIVISORS = -1 }; /* instead of a saved tensor's number */

typedef struct GgufSource {
    Merged *merged;
    const SavedModel *saved;
    const GgufArch *row;
    float *room; /* [saved->largest], owned */
} GgufSource;

/* A Conv1D lies transposed: [out, in] is wanted. */
static bool is_turned(const GgufSource *k, const SavedTensor *t)
{
    return !t->bias && k->saved->arch->modules[t->module].transposed;
}

/* Rows of the table of positions that no token reads. */
static int64_t unread(const GgufSource *k, const SavedTensor *t)
{
    const ModelArch *arch = k->saved->arch;
    return arch->modules[t->module].role == ROLE_POSITION ? arch->position_offset : 0;
}

static bool make(void *self, const GgufTensor *out, float *x, Err *err)
{
    const GgufSource *k = self;
    const ModelArch *arch = k->saved->arch;
    if (out->of == DIVISORS) {
        gguf_arch_divisors(x, arch);
        return true;
    }
    const SavedTensor *t = &k->saved->tensors[out->of];
    const int64_t skipped = unread(k, t) * (t->count / t->dim[0]);
    if (!merged_read(k->merged, t, k->room, err))
        return false;
    if (is_turned(k, t))
        matrix_transpose(x, k->room, t->dim[0], t->dim[1]);
    else
        memcpy(x, k->room + skipped, (size_t)out->count * sizeof *x);
    const Module *m = &arch->modules[t->module];
    gguf_arch_turn(k->row, arch, m->role, x, k->room, out->dim[0], out->count / out->dim[0]);
    for (int64_t i = 0; m->kind == MODULE_NORM && !t->bias && arch->gain_from_one && i < out->count; i++)
        x[i] += 1;
    return true;
}

static void add_tensor(Gguf *g, const GgufSource *k, int i, GgufType type)
{
    const SavedTensor *t = &k->saved->tensors[i];
    const Module *m = &k->saved->arch->modules[t->module];
    int64_t dim[4] = { t->dim[0] - unread(k, t), t->dim[1], t->dim[2], t->dim[3] };
    if (is_turned(k, t)) {
        dim[0] = t->dim[1];
        dim[1] = t->dim[0];
    }
    const bool table = m->role == ROLE_POSITION || m->role == ROLE_TYPE;
    const bool head = k->row->exact_head && type == GGUF_Q8_0 && (m->role == ROLE_POOLER || m->role == ROLE_HEAD);
    gguf_add(g, gguf_arch_tensor(k->row, m, t->bias), table || head ? GGUF_F32 : type, t->dims, dim, i);
}

static void put_general(Gguf *g, const GgufArch *row, const char *type, const char *name)
{
    gguf_put_string(g, "general.architecture", row->name);
    gguf_put_string(g, "general.type", type);
    gguf_put_string(g, "general.name", name);
}

bool gguf_model_write(const char *path, Merged *merged, const SavedModel *saved, GgufType type, const char *name,
                      Err *err)
{
    Gguf g = { 0 };
    GgufSource k = { .merged = merged, .saved = saved, .row = gguf_arch(saved, err) };
    if (!k.row)
        return false;
    put_general(&g, k.row, "model", name);
    gguf_put_u32(&g, "general.file_type", gguf_file_type(type));
    gguf_put_u32(&g, "general.quantization_version", 2);
    gguf_arch_keys(&g, k.row, saved);
    bool ok = gguf_vocabulary(&g, saved->arch, err);
    if (ok && k.row->divides)
        gguf_add(&g, xstrdup("rope_freqs.weight"), GGUF_F32, 1, &(int64_t){ saved->arch->D / 2 }, DIVISORS);
    for (int i = 0; ok && i < saved->count; i++)
        add_tensor(&g, &k, i, type);
    ok =
        ok && (k.room = mem_alloc((size_t)saved->largest * sizeof *k.room, err)) && gguf_write(path, &g, make, &k, err);
    free(k.room);
    gguf_release(&g);
    return ok;
}

/* ---- an adapter -------------------------------------------------------------------------- */

static bool refuse(Err *err, const char *what)
{
    err_set(err, ERR_INPUT, "%s has no place in a GGUF adapter", what);
    return err_hint(err, "export the merged model instead: --format=gguf");
}

/* Only A and B of linears have one. */
static bool check_adapter(const SlotTable *table, Err *err)
{
    const ModelArch *arch = table->arch;
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        const Module *m = &arch->modules[slot->module];
        Text what = { 0 };
        if (slot->kind == SLOT_BIAS || slot->kind == SLOT_WEIGHT)
            text_addf(&what, "'%s', which was trained itself,", m->path);
        else if (slot->kind != SLOT_LORA_A && slot->kind != SLOT_LORA_B)
            text_addf(&what, "'%s'", slot->name);
        else if (m->kind != MODULE_LINEAR)
            text_addf(&what, "LoRA on '%s'", m->path);
        else if (m->tied)
            text_addf(&what, "LoRA on '%s', which is tied to the word table,", m->path);
        if (what.size > 0) {
            refuse(err, what.data);
            text_release(&what);
            return false;
        }
        text_release(&what);
    }
    return true;
}

/* llama.cpp's scale is adapter.lora.alpha / r of each: what a module has besides goes into its B. */
static bool make_side(void *self, const GgufTensor *out, float *x, Err *err)
{
    const GgufSource *k = self;
    const SlotTable *table = k->merged->table;
    const Slot *slot = &table->slots[out->of];
    const ModuleSlots *of = &table->modules[slot->module];
    (void)err;
    memcpy(x, k->merged->values + slot->offset, (size_t)slot->count * sizeof *x);
    if (slot->kind != SLOT_LORA_B)
        return true;
    for (int64_t i = 0; i < slot->count; i++)
        x[i] *= of->scale * (float)of->r;
    gguf_arch_turn(k->row, table->arch, table->arch->modules[slot->module].role, x, k->room, slot->dim[0],
                   slot->dim[1]);
    return true;
}

bool gguf_lora_write(const char *path, const Merged *merged, const SavedModel *saved, GgufType type, const char *name,
                     Err *err)
{
    const SlotTable *table = merged->table;
    Gguf g = { 0 };
    GgufSource k = { .merged = (Merged *)(uintptr_t)merged, .saved = saved };
    if (!table)
        return err_set(err, ERR_INPUT, "a whole model is no adapter: --format=gguf");
    if (type != GGUF_F32 && type != GGUF_F16)
        return err_set(err, ERR_INPUT, "a GGUF adapter is f32 or f16");
    if (!check_adapter(table, err) || !(k.row = gguf_arch(saved, err)))
        return false;
    put_general(&g, k.row, "adapter", name);
    gguf_put_string(&g, "adapter.type", "lora");
    gguf_put_f32(&g, "adapter.lora.alpha", 1);
    int64_t largest = 1;
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        char *base = gguf_arch_tensor(k.row, &table->arch->modules[slot->module], false);
        char *tensor = xprintf("%s.lora_%c", base, slot->kind == SLOT_LORA_A ? 'a' : 'b');
        gguf_add(&g, tensor, type, slot->dims, slot->dim, i);
        largest = slot->count > largest ? slot->count : largest;
        free(base);
    }
    k.room = mem_alloc((size_t)largest * sizeof *k.room, err);
    const bool ok = k.room && gguf_write(path, &g, make_side, &k, err);
    free(k.room);
    gguf_release(&g);
    return ok;
}
