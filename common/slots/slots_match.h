/* slots_match - which modules a LoRA setting means, by PEFT's rules.
 *
 * Only common/slots and its tests include this. Owner: the caller, of what is matched. Threads: any. */
#ifndef COMMON_SLOTS_SLOTS_MATCH_H
#define COMMON_SLOTS_SLOTS_MATCH_H

#include "common/config/config.h"
#include "common/model/arch.h"

typedef struct ModuleMatch {
    bool target; /* gets A and B */
    bool saved; /* is trained whole */
    int64_t r; /* of A and B, patterns heeded */
    double alpha;
} ModuleMatch;

/* matches[0, arch->module_count). False with *err: no module is left to adapt, an entry of
 * a list or a pattern of a run means no module (of an adapter's own settings it is passed over), a module cannot
 * be adapted, or is meant to be adapted and saved at once. */
MUST_USE bool slots_match(ModuleMatch *matches, const ModelArch *arch, const LoraConfig *lora, Err *err);

/* lora.modules_to_save with what PEFT adds for the task, without repetitions.
 * Owned; names_release it. */
StringList slots_saved_names(const ModelArch *arch, const LoraConfig *lora);

/* target_modules as adapter_config.json lists it, sorted: the list, the family's
 * default, or the shortest suffixes of all-linear; empty for a regular
 * expression. In today's names. Owned; names_release it. */
StringList slots_target_names(const ModelArch *arch, const LoraConfig *lora);

/* exclude_modules in today's names. Owned; names_release it. */
StringList slots_excluded_names(const ModelArch *arch, const LoraConfig *lora);

void names_add(StringList *names, const char *name); /* unless it is there */
bool names_have(const StringList *names, const char *name);
void names_release(StringList *names);

#endif
