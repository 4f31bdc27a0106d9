/* DESIGN. Modules in named_modules order; of each lora_A, lora_B, bias, saved
 * weight. Every slot starts at a multiple of 16 floats (a cache line), so that
 * kernels and threads never share one. Names are what PEFT 0.21 writes. */
#include "common/slots/slots.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/slots/slots_match.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_ALIGN = 16 };

/* Trainer's no-decay group: norms, and names in which one of these stands
 * (transformers 5, Trainer.get_decay_parameter_names). */
static bool decays(const Module *module, const char *name)
{
    if (module->kind == MODULE_NORM)
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

/* Takes `name`. The slot's index. */
static int add_slot(SlotTable *table, const ModelArch *arch, int module, SlotKind kind, char *name,
                    int64_t rows, int64_t columns)
{
    table->slots = xrealloc(table->slots, ((size_t)table->count + 1) * sizeof *table->slots);
    Slot *slot = &table->slots[table->count];
    *slot = (Slot){
        .name = name,
        .kind = kind,
        .module = module,
        .dims = columns > 0 ? 2 : 1,
        .dim = { rows, columns },
        .offset = table->size,
        .count = rows * (columns > 0 ? columns : 1),
        .decay = decays(&arch->modules[module], name),
    };
    table->size += (slot->count + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
    table->trainable += slot->count;
    return table->count++;
}

static void add_lora(SlotTable *table, const ModelArch *arch, int module, const ModuleMatch *match)
{
    const Module *m = &arch->modules[module];
    ModuleSlots *of = &table->modules[module];
    of->r = match->r;
    of->scale = (float)(match->alpha / (double)match->r);
    of->a = add_slot(table, arch, module, SLOT_LORA_A,
                     xprintf("base_model.model.%s.lora_A.weight", m->path), of->r, m->in);
    of->b = add_slot(table, arch, module, SLOT_LORA_B,
                     xprintf("base_model.model.%s.lora_B.weight", m->path), m->out, of->r);
}

static void add_module(SlotTable *table, const ModelArch *arch, int module,
                       const ModuleMatch *match, BiasMode bias)
{
    const Module *m = &arch->modules[module];
    ModuleSlots *of = &table->modules[module];
    *of = (ModuleSlots){ .a = -1, .b = -1, .bias = -1, .weight = -1 };
    if (match->target)
        add_lora(table, arch, module, match);
    const bool trained =
        match->saved || bias == BIAS_ALL || (bias == BIAS_LORA_ONLY && match->target);
    if (m->bias && trained)
        of->bias = add_slot(
            table, arch, module, SLOT_BIAS,
            xprintf("base_model.model.%s%s.bias", m->path, match->target ? ".base_layer" : ""),
            m->out, 0);
    if (match->saved)
        of->weight = add_slot(table, arch, module, SLOT_WEIGHT,
                              xprintf("base_model.model.%s.weight", m->path), m->out,
                              m->kind == MODULE_NORM ? 0 : m->in);
}

static uint64_t table_hash(const SlotTable *table)
{
    uint64_t hash = 0;
    for (int i = 0; i < table->count; i++) {
        const Slot *s = &table->slots[i];
        const int64_t numbers[] = { s->kind, s->dims, s->dim[0], s->dim[1], s->offset, s->decay };
        const float scale = table->modules[s->module].scale;
        hash = digest_fast_more(hash, s->name, strlen(s->name) + 1);
        hash = digest_fast_more(hash, numbers, sizeof numbers);
        hash = digest_fast_more(hash, &scale, sizeof scale);
    }
    return hash;
}

SlotTable *slots_open(const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    ModuleMatch *matches = xcalloc((size_t)arch->module_count, sizeof *matches);
    if (!slots_match(matches, arch, lora, err)) {
        free(matches);
        return NULL;
    }
    SlotTable *table = xcalloc(1, sizeof *table);
    table->modules = xcalloc((size_t)arch->module_count, sizeof *table->modules);
    for (int i = 0; i < arch->module_count; i++)
        add_module(table, arch, i, &matches[i], lora->bias);
    free(matches);
    table->hash = table_hash(table);
    const StringList targets = slots_target_names(arch, lora);
    table->targets = targets.items; /* handed over */
    table->target_count = targets.count;
    return table;
}

void slots_close(SlotTable *table)
{
    if (!table)
        return;
    for (int i = 0; i < table->count; i++)
        free(table->slots[i].name);
    for (int i = 0; i < table->target_count; i++)
        free(table->targets[i]);
    free(table->targets);
    free(table->slots);
    free(table->modules);
    free(table);
}

/* ---- in words --------------------------------------------------------------------- */

static int64_t module_trained(const SlotTable *table, const ModuleSlots *of)
{
    const int slots[] = { of->a, of->b, of->bias, of->weight };
    int64_t sum = 0;
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        sum += slots[i] < 0 ? 0 : table->slots[slots[i]].count;
    return sum;
}

static void describe_module(const SlotTable *table, const Module *m, const ModuleSlots *of,
                            int width, Text *out)
{
    char shape[48];
    snprintf(shape, sizeof shape, m->kind == MODULE_NORM ? "[%lld]" : "[%lld, %lld]",
             (long long)m->out, (long long)m->in);
    text_addf(out, "%-*s  %-14s  ", width, m->path, shape);
    if (of->a >= 0)
        text_addf(out, "lora r=%lld scale=%g%s", (long long)of->r, (double)of->scale,
                  of->bias >= 0 ? " + bias" : "");
    else if (of->weight >= 0)
        text_adds(out, "trained whole");
    else if (of->bias >= 0)
        text_adds(out, "bias");
    else
        text_adds(out, m->kind == MODULE_LINEAR ? "-" : "- (no linear module)");
    const int64_t trained = module_trained(table, of);
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
        describe_module(table, &arch->modules[i], &table->modules[i], width, out);
    const int64_t all = arch_parameters(arch);
    text_addf(out, "\n%d of %d modules adapted, %d trained whole\n", adapted, arch->module_count,
              whole);
    text_addf(out, "trainable parameters: %lld of %lld (%.3f%%)\n", (long long)table->trainable,
              (long long)all, 100.0 * (double)table->trainable / (double)all);
    if (table->target_count > 0) {
        text_adds(out, "target_modules:");
        for (int i = 0; i < table->target_count; i++)
            text_addf(out, "%s %s", i > 0 ? "," : "", table->targets[i]);
        text_add(out, "\n", 1);
    }
}
