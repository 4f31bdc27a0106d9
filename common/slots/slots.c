/* DESIGN. Modules in named_modules order; of each lora_A, lora_B, what a method adds, bias, saved
 * weight. Every slot starts at a multiple of 16 floats (a cache line), so that
 * kernels and threads never share one. Names are what PEFT 0.21 writes. */
#include "common/slots/slots.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/model/stored.h"
#include "common/slots/methods.h"
#include "common/slots/slots_match.h"
#include "common/slots/slots_tensor.h"
#include "common/slots/slots_tokens.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_ALIGN = 16 };

/* Trainer's no-decay group: norms, and names in which one of these stands
 * (transformers 5, Trainer.get_decay_parameter_names). */
static bool decays(const Module *module, const char *name)
{
    if (module->kind == MODULE_NORM || module->role == ROLE_IDLE) /* without a gradient AdamW leaves it alone */
        return false;
    char *lower = xstrdup(name);
    for (char *c = lower; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    bool found = strstr(lower, "bias") || strstr(lower, "layernorm") || strstr(lower, "rmsnorm");
    for (char *rest = lower, *part; !found && (part = strsep(&rest, "."));)
        found = strcmp(part, "norm") == 0 || text_ends(part, "_norm");
    free(lower);
    return !found;
}

/* The adapter's name for a tensor of the module: `end` is ".lora_A.weight". Owned. */
static char *slot_name(const char *path, const char *end)
{
    return xprintf("base_model.model.%s%s", path, end);
}

/* An adapter's names have the module's path of today, or the one before; a model's file has one name. */
static void name_slot(Slot *slot, const SlotTable *table, const ModelArch *arch, const char *end)
{
    const Module *module = &arch->modules[slot->module];
    if (table->whole) {
        slot->name = stored_hub_name(arch, module, slot->kind == SLOT_BIAS);
        return;
    }
    char *old = arch_old_path(arch, module->path);
    slot->name = slot_name(module->path, end);
    slot->old_name = old ? slot_name(old, end) : NULL;
    free(old);
}

/* Adds a slot with the shape that `shape` has (dims, dim, transposed). Its index. */
static int add_slot(SlotTable *table, const ModelArch *arch, int module, SlotKind kind, const char *end,
                    const Slot *shape)
{
    table->slots = xrealloc(table->slots, ((size_t)table->count + 1) * sizeof *table->slots);
    Slot *slot = &table->slots[table->count];
    *slot = *shape;
    slot->kind = kind;
    slot->module = module;
    name_slot(slot, table, arch, end);
    slot->offset = table->size;
    slot->count = 1;
    for (int d = 0; d < slot->dims; d++)
        slot->count *= slot->dim[d];
    slot->decay = decays(&arch->modules[module], slot->name);
    table->size += (slot->count + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
    table->trainable += slot->count;
    return table->count++;
}

static int *place_of(ModuleSlots *of, SlotKind kind)
{
    int *const places[] = { [SLOT_LORA_A] = &of->a,
                            [SLOT_LORA_B] = &of->b,
                            [SLOT_BIAS] = &of->bias,
                            [SLOT_WEIGHT] = &of->weight,
                            [SLOT_LORA_BIAS] = &of->lora_bias,
                            [SLOT_MAGNITUDE] = &of->magnitude };
    return places[kind];
}

/* What a method trains besides A and B: a number for each output. */
static void add_extra(SlotTable *table, const ModelArch *arch, int module, const LoraConfig *lora)
{
    const Module *m = &arch->modules[module];
    MethodSlot extra[METHODS_EXTRA];
    const int count = methods_extra(extra, lora);
    for (int i = 0; i < count; i++) {
        Slot shape = { .dims = 1, .dim = { m->kind == MODULE_EMBEDDING ? m->in : m->out } };
        if (m->kind == MODULE_CONV && extra[i].kind == SLOT_MAGNITUDE)
            shape = (Slot){ .dims = 4, .dim = { 1, m->out, 1, 1 } };
        *place_of(&table->modules[module], extra[i].kind) =
            add_slot(table, arch, module, extra[i].kind, extra[i].end, &shape);
    }
}

static void add_lora(SlotTable *table, const ModelArch *arch, int module, const ModuleMatch *match,
                     const LoraConfig *lora)
{
    const Module *m = &arch->modules[module];
    ModuleSlots *of = &table->modules[module];
    const int64_t r = match->r;
    Slot a = { .dims = 2, .dim = { r, m->in } }, b = { .dims = 2, .dim = { m->out, r } };
    const bool triplets = methods_has_triplets(lora);
    const char *a_end = triplets ? ".lora_A" : ".lora_A.weight", *b_end = triplets ? ".lora_B" : ".lora_B.weight";
    if (m->kind == MODULE_EMBEDDING) { /* rows are picked: A is indexed by them */
        a.dim[1] = m->out;
        b.dim[0] = m->in;
        a_end = ".lora_embedding_A";
        b_end = ".lora_embedding_B";
    } else if (m->kind == MODULE_CONV) {
        stored_shape(arch, m, false, a.dim);
        a.dim[0] = r;
        if (triplets) /* one row for all of a kernel */
            a.dim[1] *= a.dim[2] * a.dim[3];
        a.dims = b.dims = triplets ? 2 : 4;
        b.dim[2] = b.dim[3] = triplets ? 0 : 1;
        a.dim[2] = triplets ? 0 : a.dim[2];
        a.dim[3] = triplets ? 0 : a.dim[3];
    }
    of->r = r;
    of->scale = (float)methods_scale(lora, match->alpha, r);
    of->a = add_slot(table, arch, module, SLOT_LORA_A, a_end, &a);
    of->b = add_slot(table, arch, module, SLOT_LORA_B, b_end, &b);
    add_extra(table, arch, module, lora);
    if (!triplets)
        return;
    of->e = add_slot(table, arch, module, SLOT_LORA_E, ".lora_E", &(Slot){ .dims = 2, .dim = { r, 1 } });
    of->triplet = table->triplets;
    table->triplets += r;
}

static void add_weight(SlotTable *table, const ModelArch *arch, int module)
{
    const Module *m = &arch->modules[module];
    if (table->whole && m->tied) { /* one tensor, whose gradient is the sum of both uses */
        table->modules[module].weight = table->modules[arch_module_index(arch, -1, ROLE_WORD)].weight;
        return;
    }
    const Slot shape = slot_for_weight(arch, m);
    table->modules[module].weight =
        add_slot(table, arch, module, SLOT_WEIGHT, m->kind == MODULE_TENSOR ? "" : ".weight", &shape);
}

static void add_base(SlotTable *table, const Module *m, int module)
{
    table->bases = xrealloc(table->bases, ((size_t)table->base_count + 1) * sizeof *table->bases);
    table->bases[table->base_count++] =
        (SavedBase){ .name = slot_name(m->path, ".base_layer.weight"), .module = module };
}

static void add_module(SlotTable *table, const ModelArch *arch, int module, const ModuleMatch *match,
                       const LoraConfig *lora)
{
    const Module *m = &arch->modules[module];
    ModuleSlots *of = &table->modules[module];
    *of = (ModuleSlots)MODULE_SLOTS_NONE;
    if (match->target)
        add_lora(table, arch, module, match, lora);
    const bool trained = match->saved || lora->bias == BIAS_ALL || (lora->bias == BIAS_LORA_ONLY && match->target);
    if (m->bias && trained)
        of->bias = add_slot(table, arch, module, SLOT_BIAS, match->target ? ".base_layer.bias" : ".bias",
                            &(Slot){ .dims = 1, .dim = { m->out } });
    if (match->saved)
        add_weight(table, arch, module);
}

/* PEFT saves frozen tables when one of these names is a target (utils/save_and_load.py,
 * EMBEDDING_LAYER_NAMES): of a list the very word, of an expression what it matches. */
static bool names_table(const ModelArch *arch, const LoraConfig *lora, const ModuleMatch *matches)
{
    static const char *const tables[] = { "embed_tokens", "lm_head" };
    for (int t = 0; t < 2; t++) {
        if (names_have(&lora->target_modules, tables[t]))
            return true;
        for (int i = 0; lora->target_regex && i < arch->module_count; i++) {
            const char *dot = strrchr(arch->modules[i].path, '.');
            if (matches[i].target && strcmp(dot ? dot + 1 : arch->modules[i].path, tables[t]) == 0)
                return true;
        }
    }
    return false;
}

static void add_bases(SlotTable *table, const ModelArch *arch, const LoraConfig *lora, const ModuleMatch *matches)
{
    if (table->token_count > 0 || !names_table(arch, lora, matches))
        return;
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        const bool is_output = m->role == ROLE_HEAD && arch->head.task->speaks;
        if (matches[i].target && (m->role == ROLE_WORD || is_output))
            add_base(table, m, i);
    }
}

/* Rows of the word table by themselves: nothing else of it, or of a head that is tied to it, can be trained then. */
static bool add_tokens(SlotTable *table, const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    if (!slots_tokens(&table->tokens, &table->token_count, arch, lora, err))
        return false;
    for (int i = 0; table->token_count > 0 && i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        ModuleSlots *of = &table->modules[i];
        if (m->role != ROLE_WORD && !(m->tied && arch->head.task->speaks))
            continue;
        if (of->a >= 0 || of->weight >= 0) {
            err_set(err, ERR_INPUT, "lora.trainable_token_indices trains rows of '%s', which is %s", m->path,
                    of->a >= 0 ? "adapted" : "trained whole");
            return err_hint(err, "take it out of %s, or remove trainable_token_indices",
                            of->a >= 0 ? "lora.target_modules" : "lora.modules_to_save");
        }
        if (m->role == ROLE_WORD)
            of->tokens = add_slot(table, arch, i, SLOT_TOKENS, ".token_adapter.trainable_tokens_delta",
                                  &(Slot){ .dims = 2, .dim = { table->token_count, m->in } });
        else
            of->tokens = table->modules[arch_module_index(arch, -1, ROLE_WORD)].tokens;
    }
    return true;
}

static uint64_t table_hash(const SlotTable *table)
{
    uint64_t hash = 0;
    for (int i = 0; i < table->count; i++) {
        const Slot *s = &table->slots[i];
        const int64_t numbers[] = { s->kind, s->dims, s->dim[0], s->dim[1], s->dim[2], s->dim[3], s->offset, s->decay };
        const float scale = table->modules[s->module].scale;
        hash = digest_fast_more(hash, s->name, strlen(s->name) + 1);
        hash = digest_fast_more(hash, numbers, sizeof numbers);
        hash = digest_fast_more(hash, &scale, sizeof scale);
    }
    if (table->token_count > 0)
        hash = digest_fast_more(hash, table->tokens, (size_t)table->token_count * sizeof *table->tokens);
    return hash;
}

/* With two stacks the blocks' linears alone: tables are both stacks', or of scores. */
static bool fits_stacks(const ModelArch *arch, const ModuleMatch *matches, const LoraConfig *lora, Err *err)
{
    if (arch->source_layers == 0)
        return true;
    if (lora->layers_count > 0 && !lora->published) {
        err_set(err, ERR_INPUT, "layers are numbered in each of the two stacks of a %s", arch->family->model_type);
        err_hint(err, "name modules by a pattern instead: lora.target_modules: 'decoder\\..*\\.1\\..*\\.q'");
        return err_at(err, "lora.layers_to_transform");
    }
    if (json_object_size(lora->tokens) > 0 || json_array_size(lora->tokens) > 0) {
        err_set(err, ERR_INPUT, "the word table of a %s is both stacks': none of its rows is trained here",
                arch->family->model_type);
        return err_at(err, "lora.trainable_token_indices");
    }
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        if ((!matches[i].target && !matches[i].saved) || (m->layer >= 0 && m->kind != MODULE_EMBEDDING))
            continue;
        err_set(err, ERR_INPUT, "'%s' of a model of two stacks (model_type '%s') is not trained here", m->path,
                arch->family->model_type);
        return err_hint(err, methods_is_whole(lora) ? "take train.mode: lora"
                                                    : "adapt linears of the blocks: take it out of lora.target_modules "
                                                      "or lora.modules_to_save");
    }
    return true;
}

SlotTable *slots_open(const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    ModuleMatch *matches = xcalloc((size_t)arch->module_count, sizeof *matches);
    if (!slots_match(matches, arch, lora, err) || !fits_stacks(arch, matches, lora, err)) {
        free(matches);
        return NULL;
    }
    for (int i = 0; i < arch->module_count; i++)
        if (matches[i].target && !methods_fit(lora, &arch->modules[i], err)) {
            free(matches);
            return NULL;
        }
    SlotTable *table = xcalloc(1, sizeof *table);
    table->arch = arch;
    table->whole = methods_is_whole(lora);
    table->modules = xcalloc((size_t)arch->module_count, sizeof *table->modules);
    for (int i = 0; i < arch->module_count; i++)
        add_module(table, arch, i, &matches[i], lora);
    if (!add_tokens(table, arch, lora, err)) {
        free(matches);
        slots_close(table);
        return NULL;
    }
    add_bases(table, arch, lora, matches);
    free(matches);
    table->hash = table_hash(table);
    const StringList targets = table->whole ? (StringList){ 0 } : slots_target_names(arch, lora);
    table->targets = targets.items; /* handed over */
    table->target_count = targets.count;
    return table;
}

void slots_close(SlotTable *table)
{
    if (!table)
        return;
    for (int i = 0; i < table->count; i++) {
        free(table->slots[i].name);
        free(table->slots[i].old_name);
    }
    for (int i = 0; i < table->base_count; i++)
        free(table->bases[i].name);
    free(table->bases);
    for (int i = 0; i < table->target_count; i++)
        free(table->targets[i]);
    free(table->targets);
    free(table->tokens);
    free(table->slots);
    free(table->modules);
    free(table);
}

/* ---- in words --------------------------------------------------------------------- */

/* A tied head has the word table's slot, where it is counted. */
static int64_t module_trained(const SlotTable *table, int module)
{
    const ModuleSlots *of = &table->modules[module];
    const int slots[] = { of->a, of->b, of->e, of->lora_bias, of->magnitude, of->bias, of->weight, of->tokens };
    int64_t sum = 0;
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        if (slots[i] >= 0 && table->slots[slots[i]].module == module)
            sum += table->slots[slots[i]].count;
    return sum;
}

/* What is to say of a module that nothing is trained of. */
static const char *idle_words(const Module *m)
{
    return m->kind == MODULE_NORM     ? "- (a norm takes no lora)"
           : m->kind == MODULE_TENSOR ? "- (no module, takes no lora)"
           : m->tied                  ? "- (the word table's tensor)"
                                      : "-";
}

static void describe_module(const SlotTable *table, const ModelArch *arch, int module, int width, Text *out)
{
    const Module *m = &arch->modules[module];
    const ModuleSlots *of = &table->modules[module];
    Text shape = { 0 };
    int64_t dim[4] = { m->out, m->in };
    const int dims = m->kind == MODULE_LINEAR ? 2 : stored_shape(arch, m, false, dim);
    for (int d = 0; d < dims; d++)
        text_addf(&shape, "%s%lld", d > 0 ? ", " : "[", (long long)dim[d]);
    text_adds(&shape, "]");
    text_addf(out, "%-*s  %-14s  ", width, m->path, shape.data);
    text_release(&shape);
    if (of->a >= 0)
        text_addf(out, "lora r=%lld scale=%g%s%s%s", (long long)of->r, (double)of->scale,
                  of->magnitude >= 0 ? " + magnitude" : "", of->lora_bias >= 0 ? " + bias of B" : "",
                  of->bias >= 0 ? " + bias" : "");
    else if (of->weight >= 0 && table->slots[of->weight].module == module)
        text_adds(out, "trained whole");
    else if (of->bias >= 0)
        text_adds(out, "bias");
    else
        text_adds(out, idle_words(m));
    const int64_t trained = module_trained(table, module);
    if (trained > 0)
        text_addf(out, "  %lld parameters", (long long)trained);
    text_add(out, "\n", 1);
}

void slots_describe(const SlotTable *table, const ModelArch *arch, Text *out)
{
    int width = 0, adapted = 0, whole = 0;
    for (int i = 0; i < arch->module_count; i++) {
        const int n = (int)strlen(arch->modules[i].path);
        width = n > width ? n : width;
        adapted += table->modules[i].a >= 0;
        whole += table->modules[i].weight >= 0;
    }
    for (int i = 0; i < arch->module_count; i++)
        describe_module(table, arch, i, width, out);
    const int64_t all = arch_parameters(arch);
    text_addf(out, "\n%d of %d modules adapted, %d trained whole\n", adapted, arch->module_count, whole);
    text_addf(out, "trainable parameters: %lld of %lld (%.3f%%)\n", (long long)table->trainable, (long long)all,
              100.0 * (double)table->trainable / (double)all);
    if (table->target_count > 0) {
        text_adds(out, "target_modules:");
        for (int i = 0; i < table->target_count; i++)
            text_addf(out, "%s %s", i > 0 ? "," : "", table->targets[i]);
        text_add(out, "\n", 1);
    }
}
