/* init_adapter - what a run takes from the adapter that it begins with (lora.init_adapter), as PEFT does in
 * PeftModel.from_pretrained(base, folder, is_trainable=True): its settings, where the run file does not say
 * them; and the labels of the run that made it, in their order, as its head has them.
 *
 * For whoever has a run file of its own: the server, `lora train`, a worker that is given one. In a run.yaml
 * that a server wrote, all of it is said.
 *
 * Threads: any. */
#ifndef COMMON_SLOTS_INIT_ADAPTER_H
#define COMMON_SLOTS_INIT_ADAPTER_H

#include "common/base/text.h"
#include "common/config/config.h"

/* Without lora.init_adapter: nothing. `taken`, if given: "lora.r 8, lora.lora_alpha 16". False with *err: no
 * adapter is there, it cannot be trained here, or the run file says other numbers than it has, all of them
 * named with both values. (Lists of modules may be written in many ways: whether they are the same, its
 * tensors tell.) */
MUST_USE bool init_adapter_take(Config *config, Text *taken, Err *err);

/* Where its tensors did not fit: a hint that names the settings that are written otherwise in the run file. */
void init_adapter_hint(const Config *config, Err *err);

#endif
