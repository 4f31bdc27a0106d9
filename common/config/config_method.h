/* config_method - do the keys of lora.method go together?
 *
 * Owner: nothing. Threads: any. */
#ifndef COMMON_CONFIG_CONFIG_METHOD_H
#define COMMON_CONFIG_CONFIG_METHOD_H

#include "common/config/config.h"

/* Does the key say how an adapter is made (lora.*, LoRA+)? */
bool config_key_of_adapter(const char *key);

MUST_USE bool config_check_method(const Config *config, Err *err);

#endif
