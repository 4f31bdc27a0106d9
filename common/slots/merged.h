/* merged - a base with an adapter put into its weights, a tensor at a time: W' = W + s B A, biases and modules that
 * were trained whole replaced. Everything that leaves LoRA behind (a merged folder, ONNX, GGUF) takes its numbers here.
 *
 * What another method than LoRA makes of a module's weight belongs into one place, add_delta of merged.c; until it is
 * there the method's adapters are refused by its name (merged_check).
 *
 * Owner: the caller, of all it points to. Threads: one. */
#ifndef COMMON_SLOTS_MERGED_H
#define COMMON_SLOTS_MERGED_H

#include "common/model/saved.h"
#include "common/slots/slots.h"

/* What there is to say of it when all tensors have been asked for. */
typedef struct MergeReport {
    int adapted, replaced; /* modules with s B A; tensors that were trained themselves */
    double largest; /* |s B A| / |W| of the module where it is largest */
    const char *largest_path; /* lent by the arch; NULL: nothing is adapted */
    double delta, lost; /* sums of squares over adapted modules: of s B A, of what rounding takes away */
} MergeReport;

typedef struct Merged {
    const ModelArch *arch; /* borrowed, of the saved model */
    const SlotTable *table; /* borrowed; NULL: no adapter, the base's numbers as they are */
    const float *values; /* [table->size], of the adapter; borrowed */
    float *room; /* [saved.largest], owned */
    MergeReport report;
} Merged;

/* False with *err: the adapter is of a method that cannot be merged yet. */
MUST_USE bool merged_check(const LoraConfig *lora, const SlotTable *table, Err *err);

/* Are the word table and the output words no longer the same, where the model ties them? */
bool merged_unties(const SlotTable *table);

MUST_USE bool merged_init(Merged *merged, const SlotTable *table, const float *values, const SavedModel *saved,
                          Err *err);
void merged_release(Merged *merged);

/* out[tensor->count] <- the tensor, in its shape of files. */
MUST_USE bool merged_read(Merged *merged, const SavedTensor *tensor, float *out, Err *err);

/* ModelWeights.write: the same into a file, rounded once. */
MUST_USE bool merged_write(void *merged, const SavedTensor *tensor, FILE *file, Err *err);

#endif
