/* slots_near - what somebody may have meant by a name that means no module.
 *
 * Threads: any. */
#ifndef COMMON_SLOTS_SLOTS_NEAR_H
#define COMMON_SLOTS_SLOTS_NEAR_H

#include "common/model/arch.h"

/* Sets *err for an entry of the list lora.KEY; returns false. */
bool near_error(const ModelArch *arch, const char *key, const char *name, Err *err);

/* True when `name` is the end of a module's parent: "attention.self". */
bool near_is_parent(const ModelArch *arch, const char *name);

#endif
