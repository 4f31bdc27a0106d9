/* adalora - AdaLoRA in files, as PEFT writes it (tuners/adalora/model.py): settings and rank_pattern in
 * adapter_config.json, A, B and E cropped to the triplets that are kept; a module may keep none.
 *
 * Only common/slots and its tests include this. Owner: the caller. Threads: any. */
#ifndef COMMON_SLOTS_ADALORA_H
#define COMMON_SLOTS_ADALORA_H

#include "common/slots/slots.h"

/* AdaLoraConfig's defaults. */
void adalora_defaults(AdaLora *ada);

/* Settings, and rank_pattern of what the form keeps: null where that is all. */
void adalora_write(json_t *to, const SlotTable *table, const AdapterForm *form, const LoraConfig *lora);

/* The same out of it. False with *err: out of range, or no lists of init_r truth values. */
MUST_USE bool adalora_read(LoraConfig *lora, const json_t *config, Err *err);

/* Triplets of the module that an adapter with these settings holds. */
int64_t adalora_rank(const LoraConfig *lora, const char *path);

/* The slot with the triplets that the form keeps alone: *out says the shape, *room the numbers (owned by the caller). */
MUST_USE bool adalora_crop(TensorOut *out, float **room, const Slot *slot, const SlotTable *table,
                           const AdapterForm *form, Err *err);

/* values of `table` <- those of `small`, the same modules cropped by masks (rank_pattern): kept triplets go back to
 * their places, the others stay as they are. */
void adalora_spread(float *values, const SlotTable *table, const float *from, const SlotTable *small,
                    const json_t *masks);

#endif
