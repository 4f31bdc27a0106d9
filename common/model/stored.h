/* stored - how model files hold a module's tensors: under which names, in which
 * shape. Threads: any. */
#ifndef COMMON_MODEL_STORED_H
#define COMMON_MODEL_STORED_H

#include "common/model/arch.h"

/* The k-th name a file may have for the module's weight (or bias), likeliest first:
 * today's path and the one before the family's renames, with the family's prefix and
 * without, norms also as gamma and beta. Owned; NULL: there are no more. */
char *stored_name(const ModelArch *arch, const Module *module, bool bias, int k);

/* The shape there; returns the number of dimensions. MODULE_TENSOR has leading ones. */
int stored_shape(const ModelArch *arch, const Module *module, bool bias, int64_t dim[4]);

/* Elements of the weight. */
int64_t stored_count(const Module *module);

#endif
