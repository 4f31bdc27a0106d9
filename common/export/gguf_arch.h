/* gguf_arch - llama.cpp's architectures, as far as models here are computed alike by them.
 *
 * Only common/export includes this. Threads: any. */
#ifndef COMMON_EXPORT_GGUF_ARCH_H
#define COMMON_EXPORT_GGUF_ARCH_H

#include "common/export/gguf.h"
#include "common/model/saved.h"

typedef enum { GGUF_BIAS_NONE, GGUF_BIAS_QKV, GGUF_BIAS_ALL } GgufBiases;
typedef enum { GGUF_OUTPUT_EITHER, GGUF_OUTPUT_TIED, GGUF_OUTPUT_OWN } GgufOutput;

typedef struct GgufArch {
    const char *model_type; /* of config.json */
    const char *name; /* llama.cpp's */
    TaskType task;
    const char *const *ropes; /* rope_types that it reads, NULL-terminated; NULL: it has none */
    bool divides; /* rope_freqs.weight is read: the way of "llama3" */
    bool pairs; /* neighbours are turned, where Transformers turns halves: rows of q and k are permuted */
    Activation act; /* the one that it computes */
    Activation nearly; /* another that differs in the fourth digit, with a warning; else the same */
    const char *const *tensors; /* [ROLE_COUNT], NULL: none */
    GgufOutput output; /* words: tied to the word table, or a tensor of their own */
    GgufBiases biases; /* of linears */
    bool exact_head; /* a classifier's layers stay F32 in Q8_0 */
    bool root_words; /* rows of the word table are multiplied by the root of the width */
    bool factors; /* of words, scores, residuals and logits: keys say which */
    bool logit_factor; /* of logits alone: a key */
    bool caps; /* of scores and logits: keys */
    bool parallel; /* a key says whether sublayers stand side by side; else it is as its family is */
    int64_t window_every; /* windows: in all layers but the last of so many; 0: none is heeded */
    int64_t rest_every; /* every so many layers one does not turn; 0: all turn */
    int64_t large; /* with so many layers scores are scaled by the width by heads, not by the head; 0: never */
} GgufArch;

/* NULL with *err: llama.cpp has none that computes this model. */
MUST_USE const GgufArch *gguf_arch(const SavedModel *saved, Err *err);

/* "blk.3.attn_q.weight"; owned. */
char *gguf_arch_tensor(const GgufArch *arch, const Module *m, bool bias);

/* All keys but those of the tokenizer. */
void gguf_arch_keys(Gguf *g, const GgufArch *arch, const SavedModel *saved);

/* x[rows, columns] of a module with this role, as it lies here, becomes what llama.cpp wants: rows of each head of q and
 * k from two halves to pairs, those of q, k and v that stand by groups of heads one behind the other. room as large. */
void gguf_arch_turn(const GgufArch *row, const ModelArch *arch, Role role, float *x, float *room, int64_t rows,
                    int64_t columns);

/* The divisors of the frequencies of positions, out[D / 2]. */
void gguf_arch_divisors(float *out, const ModelArch *arch);

#endif
