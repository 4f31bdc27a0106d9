#include "ps/rates.h"

#include "common/base/mem.h"

#include <string.h>

static SlotRate plain(const Slot *slot, const TrainConfig *train)
{
    return (SlotRate){ .times = 1.0, .weight_decay = slot->decay ? train->weight_decay : 0.0 };
}

/* A norm that is no nn.LayerNorm (Llama's) decays here, though it does not in Trainer. */
static bool is_without_decay(const Module *module, const ModelArch *arch, const Slot *slot)
{
    return strstr(slot->name, "bias") || (module->kind == MODULE_NORM && arch->norm == NORM_LAYER);
}

static SlotRate plus(const Slot *slot, const ModelArch *arch, const TrainConfig *train)
{
    const Module *module = &arch->modules[slot->module];
    const bool is_lora = slot->kind == SLOT_LORA_A || slot->kind == SLOT_LORA_B;
    if (is_lora && module->kind == MODULE_EMBEDDING)
        return (SlotRate){ .times = train->loraplus_lr_embedding / train->learning_rate,
                           .weight_decay = train->loraplus_weight_decay };
    if (slot->kind != SLOT_LORA_B && slot->dims != 1)
        return (SlotRate){ .times = 1.0, .weight_decay = train->loraplus_weight_decay };
    return (SlotRate){ .times = train->loraplus_lr_ratio,
                       .weight_decay = is_without_decay(module, arch, slot) ? 0.0 : train->loraplus_weight_decay };
}

SlotRate *rates_new(const SlotTable *table, const TrainConfig *train)
{
    SlotRate *rates = xcalloc((size_t)table->count + 1, sizeof *rates);
    for (int i = 0; i < table->count; i++)
        rates[i] =
            train->loraplus_lr_ratio > 0 ? plus(&table->slots[i], table->arch, train) : plain(&table->slots[i], train);
    return rates;
}

void rates_set(SlotRate *rates, int count, const Schedule *schedule, double highest, int64_t reduced)
{
    for (int i = 0; i < count; i++)
        rates[i].now = plateau_rate(schedule, highest * rates[i].times, reduced);
}
