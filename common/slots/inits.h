/* inits - how the A and B of a run begin, a row for each init_lora_weights of PEFT (tuners/lora/layer.py). Some look at
 * the weight, and take what they put into A and B away from it: W x = (W - s B A) x + s B A x. The base on disk stays
 * as it is; who holds the weights subtracts once, behind loading. Whoever asks gets the same bits, from the model's
 * files, the seed and the settings alone.
 *
 * An embedding begins as with `true`, whatever the word, as in PEFT.
 *
 * Threads: any. */
#ifndef COMMON_SLOTS_INITS_H
#define COMMON_SLOTS_INITS_H

#include "common/slots/slots.h"

/* Does the word fit the modules of the table? Else *err names the module. */
MUST_USE bool inits_check(const SlotTable *table, const LoraConfig *lora, Err *err);

/* Is the base's weight looked at, and changed? */
bool inits_shift(const LoraConfig *lora);

/* As adapter_config.json says it. */
json_t *inits_json(const LoraConfig *lora);

/* values of the module's A and B, and nothing else, <- their start. w[out,in]: the base's weight, looked at where
 * inits_shift. */
MUST_USE bool inits_module(float *values, const SlotTable *table, int module, const float *w, const LoraConfig *lora,
                           uint64_t seed, Err *err);

/* w[out,in] -= s B A of the module's start. Only where inits_shift. */
MUST_USE bool inits_shift_base(float *w, const SlotTable *table, int module, const LoraConfig *lora, uint64_t seed,
                               Err *err);

#endif
