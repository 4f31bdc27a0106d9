/* combine - several adapters of one model become one, as PEFT's add_weighted_adapter does it: its types, its names, its
 * formulas. What it takes in silence to no good end is refused (combine_check), or done right: the scales of rsLoRA are
 * in the values, and the result is plain LoRA with r = lora_alpha.
 * Source: peft/tuners/lora/model.py.
 *
 * Owner: the caller, of all parts. Threads: one. */
#ifndef COMMON_SLOTS_COMBINE_H
#define COMMON_SLOTS_COMBINE_H

#include "common/slots/slots.h"

typedef struct CombineType CombineType;

typedef struct CombineOptions {
    const CombineType *type;
    int64_t svd_rank; /* 0: the largest of the adapters' */
    double density; /* negative: not given */
    bool by_frequency; /* majority_sign_method: frequency, else total */
    uint64_t seed; /* of random pruning */
} CombineOptions;

typedef struct CombinePart {
    const char *name; /* its folder, for errors */
    const LoraConfig *lora;
    const SlotTable *table;
    const float *values; /* [table->size] */
    double weight;
} CombinePart;

/* By its name; NULL with *err and all names. */
MUST_USE const CombineType *combine_type(const char *name, Err *err);
bool combine_prunes(const CombineType *type); /* density is asked for */
bool combine_elects(const CombineType *type); /* majority_sign_method has sense */
bool combine_cuts(const CombineType *type); /* svd_rank has sense */

/* False with *err: these cannot become one in this way. Of a single part the type becomes linear. */
MUST_USE bool combine_check(CombineOptions *options, const CombinePart *parts, int count, Err *err);

/* Settings of what comes out; `into` holds a copy of the first part's. */
void combine_settings(LoraConfig *into, const CombineOptions *options, const CombinePart *parts, int count);

/* values[table->size] of what comes out; the table was opened with combine_settings. */
MUST_USE bool combine_values(float *values, const SlotTable *table, const CombineOptions *options,
                             const CombinePart *parts, int count, Err *err);

#endif
