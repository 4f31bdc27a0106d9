/* saved - the tensors of a model folder that is to be written: those of the task's model, under the names that the
 * base's files give them.
 *
 * What the task's model has not is left out (the base's own head, buffers), and the family's prefix is put before
 * names that come without it: so Transformers finds nothing missing and nothing unexpected.
 *
 * Owner: whoever opened it; const afterwards. Threads: any. */
#ifndef COMMON_MODEL_SAVED_H
#define COMMON_MODEL_SAVED_H

#include "common/model/arch.h"
#include "common/tensor/safetensors.h"

typedef struct SavedTensor {
    char *name; /* owned */
    int module; /* in arch->modules */
    bool bias; /* else its weight */
    const TensorView *source; /* in the base's files, of a tied pair the one that is there; NULL: of a new head */
    Dtype dtype; /* to be written: F32, F16 or BF16 */
    int dims;
    int64_t dim[4], count; /* in the file */
} SavedTensor;

typedef struct SavedModel {
    const ModelArch *arch; /* borrowed */
    SavedTensor *tensors; /* in the order of modules, a weight before its bias; owned */
    int count;
    Dtype dtype; /* what config.json says */
    bool untied; /* both of a tied pair are there, each with numbers of its own */
    int64_t largest; /* elements of the largest tensor */
} SavedModel;

/* dtype: of all tensors; DTYPE_OTHER: each as in the base's files (F64: F32), what is new as its word table or first
 * module. untied: the word table and the output words part, where the model ties them. files: lent until
 * saved_release; they have passed base_check. */
void saved_open(SavedModel *saved, const ModelArch *arch, const SafeTensors *files, Dtype dtype, bool untied);
void saved_release(SavedModel *saved);

#endif
