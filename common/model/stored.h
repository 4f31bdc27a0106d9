/* stored - how model files hold a module's tensors: under which names, in which
 * shape. Threads: any. */
#ifndef COMMON_MODEL_STORED_H
#define COMMON_MODEL_STORED_H

#include "common/model/arch.h"
#include "common/tensor/safetensors.h"

/* Length of the prefix that a name of a file has: the task's or the family's; 0: none. */
size_t stored_prefix(const ModelArch *arch, const char *name);

/* Whether a module is of the body, whose names have a prefix or not. */
bool stored_in_body(const ModelArch *arch, const Module *module);

/* The k-th name a file may have for the module's weight (or bias), likeliest first:
 * today's path and the one before the family's renames, with the task's prefix, the family's and
 * without, norms also as gamma and beta. Owned; NULL: there are no more. */
char *stored_name(const ModelArch *arch, const Module *module, bool bias, int k);

/* The name under which Transformers writes it (save_pretrained). Owned. */
char *stored_hub_name(const ModelArch *arch, const Module *module, bool bias);

/* The shape there; returns the number of dimensions. MODULE_TENSOR has leading ones. */
int stored_shape(const ModelArch *arch, const Module *module, bool bias, int64_t dim[4]);

/* The module's tensor in the model's files, under one of its names; NULL: none. */
const TensorView *stored_find(const SafeTensors *files, const ModelArch *arch, const Module *module, bool bias);

/* The same; of a tied pair (the word table and the output words) the one that is there. */
const TensorView *stored_source(const SafeTensors *files, const ModelArch *arch, const Module *module, bool bias);

/* A tied head that the files hold too is tied only when it is the same tensor (transformers 5,
 * PreTrainedModel.tie_weights). */
bool stored_is_tied(const SafeTensors *files, const ModelArch *arch, const Module *module);

/* Elements of the weight. */
int64_t stored_count(const Module *module);

#endif
