/* methods - what a method adds to plain LoRA, a row each: what a run file and adapter_config.json call it, and what it
 * makes of a module.
 *
 * Only common/slots and its tests include this: what a method changes stands in the slot table, which all others read.
 * Owner: static. Threads: any. */
#ifndef COMMON_SLOTS_METHODS_H
#define COMMON_SLOTS_METHODS_H

#include "common/slots/slots.h"

/* Every weight is trained, and no module is adapted. */
bool methods_is_whole(const LoraConfig *lora);

/* What B A is multiplied with, of a module's own rank and alpha. */
double methods_scale(const LoraConfig *lora, double alpha, int64_t r);

/* A slot that each adapted module has besides A and B. */
typedef struct MethodSlot {
    SlotKind kind;
    const char *end; /* of its name */
} MethodSlot;

/* extra[0, return value). */
enum { METHODS_EXTRA = 2 };
int methods_extra(MethodSlot extra[METHODS_EXTRA], const LoraConfig *lora);

/* Can this module be adapted so? */
MUST_USE bool methods_fit(const LoraConfig *lora, const Module *module, Err *err);

/* Has each module an E beside A and B, which its rows share (AdaLoRA)? */
bool methods_has_triplets(const LoraConfig *lora);

/* Rank of the module, where no pattern says another. */
int64_t methods_rank(const LoraConfig *lora, const char *path);

/* Into adapter_config.json: peft_type, with the settings of its own; the key of every other method, and whether it is
 * on. */
void methods_write(json_t *to, const SlotTable *table, const AdapterForm *form, const LoraConfig *lora);

/* The same out of it; where there is none, the method is off. */
MUST_USE bool methods_read(LoraConfig *lora, const json_t *config, Err *err);

/* False with *err, by its key: a method is on that common/slots/merged does not know. */
MUST_USE bool methods_merge(const LoraConfig *lora, Err *err);

#endif
