/* slots_config - adapter_config.json as PEFT 0.21 writes it.
 *
 * Threads: any. */
#ifndef COMMON_SLOTS_SLOTS_CONFIG_H
#define COMMON_SLOTS_SLOTS_CONFIG_H

#include "common/slots/slots.h"

/* The whole document. Owned: json_decref. */
json_t *slots_config_json(const SlotTable *table, const AdapterForm *form, const LoraConfig *lora,
                          const char *model_name);

#endif
