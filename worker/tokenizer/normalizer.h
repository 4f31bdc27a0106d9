/* normalizer - what is done to a text before it is cut: tokenizer.json's
 * `normalizer`, a Sequence being flattened into a list of operations.
 *
 * A new kind is a row of the table in normalizer.c, and a file if it is long.
 *
 * Owner: the tokenizer. Threads: const after reading. */
#ifndef WORKER_TOKENIZER_NORMALIZER_H
#define WORKER_TOKENIZER_NORMALIZER_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "worker/tokenizer/aligned.h"
#include "worker/tokenizer/pattern.h"
#include "worker/tokenizer/scratch.h"

typedef struct NormalizerOp NormalizerOp;

typedef struct NormalizerKind {
    const char *name;
    /* Reads the settings; NULL: there are none. */
    bool (*read)(NormalizerOp *op, const json_t *settings, Err *err);
    /* Writes the normal form of `in` to `out`, which is empty. */
    void (*run)(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch);
} NormalizerKind;

struct NormalizerOp {
    const NormalizerKind *kind;
    bool clean_text, chinese, strip_accents, lowercase; /* BertNormalizer */
    bool left, right; /* Strip */
    Pattern pattern; /* Replace */
    Text content; /* Replace, Prepend */
    uint32_t *trie; /* Precompiled: [units], owned */
    size_t units;
    Text normalized; /* Precompiled: what the trie's values point into */
    bool replaced[128]; /* Precompiled: ASCII that is not left as it is */
};

/* Zeroed leaves texts as they are. */
typedef struct Normalizer {
    NormalizerOp *ops; /* [count], owned */
    size_t count;
} Normalizer;

/* `spec` as in tokenizer.json; NULL or null: none. */
MUST_USE bool normalizer_read(Normalizer *normalizer, const json_t *spec, Err *err);
void normalizer_release(Normalizer *normalizer);

/* The normal form of `text`: lent until the next call with this scratch, or `text` itself. */
const Aligned *normalizer_run(const Normalizer *normalizer, const Aligned *text, Scratch *scratch);

/* Writes the list, made of `in` from `from` on, with what its characters stand for. */
void normalizer_write(const CodePoints *points, const Aligned *in, size_t from, Aligned *out);

/* The kinds that have files of their own. */
bool bert_normalizer_read(NormalizerOp *op, const json_t *settings, Err *err);
void bert_normalizer_run(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch);
bool precompiled_read(NormalizerOp *op, const json_t *settings, Err *err);
void precompiled_run(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch);

#endif
