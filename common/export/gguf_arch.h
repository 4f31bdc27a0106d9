/* gguf_arch - llama.cpp's architectures, as far as models here are computed alike by them.
 *
 * Only common/export includes this. Threads: any. */
#ifndef COMMON_EXPORT_GGUF_ARCH_H
#define COMMON_EXPORT_GGUF_ARCH_H

#include "common/export/gguf.h"
#include "common/model/saved.h"

typedef struct GgufArch {
    const char *model_type; /* of config.json */
    const char *name; /* llama.cpp's */
    TaskType task;
    const char *rope; /* its rope_type, one of several rows of a model_type; NULL: it has none, or any row fits */
    bool pairs; /* neighbours are turned, where Transformers turns halves: rows of q and k are permuted */
    Activation act; /* the one that it computes */
    Activation nearly; /* another that differs in the fourth digit, with a warning; else the same */
    const char *const *tensors; /* [ROLE_COUNT], NULL: none */
    bool untie; /* it has a tensor of its own for output words that are not tied */
    bool exact_head; /* a classifier's layers stay F32 in Q8_0 */
} GgufArch;

/* NULL with *err: llama.cpp has none that computes this model. */
MUST_USE const GgufArch *gguf_arch(const SavedModel *saved, Err *err);

/* "blk.3.attn_q.weight"; owned. */
char *gguf_arch_tensor(const GgufArch *arch, const Module *m, bool bias);

/* All keys but those of the tokenizer. */
void gguf_arch_keys(Gguf *g, const GgufArch *arch, const SavedModel *saved);

/* x[rows, columns] of q or k: rows of each head from two halves to pairs; room as large. */
void gguf_arch_pairs(float *x, float *room, int64_t heads, int64_t rows, int64_t columns);

/* The divisors of the frequencies of positions, out[D / 2]. */
void gguf_arch_divisors(float *out, const ModelArch *arch);
bool gguf_arch_divides(const GgufArch *arch); /* there is such a tensor */

#endif
