/* postprocess - puts the special tokens round a text or a pair: tokenizer.json's
 * `post_processor`, every kind of it being a template.
 *
 * Owner: the tokenizer. Threads: const after reading. */
#ifndef WORKER_TOKENIZER_POSTPROCESS_H
#define WORKER_TOKENIZER_POSTPROCESS_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "worker/tokenizer/scratch.h"
#include "worker/tokenizer/vocab.h"

enum { TEMPLATE_A = -1, TEMPLATE_B = -2 }; /* the text, its pair; else a token's id */

typedef struct TemplatePart {
    int32_t what;
    int32_t type;
} TemplatePart;

/* Zeroed is empty. */
typedef struct Template {
    TemplatePart *parts; /* [count], owned */
    int64_t count;
    int64_t specials; /* parts that are tokens */
} Template;

enum { MOST_TRIMS = 4 };

typedef struct PostProcessor {
    Template single, pair;
    /* How often spaces of the byte-level alphabet are left out of offsets, and whether
     * one before the text was put there and counts as none. */
    bool prefix_space[MOST_TRIMS];
    int trims;
} PostProcessor;

/* `spec` as in tokenizer.json; NULL or null: nothing is added. */
MUST_USE bool postprocess_read(PostProcessor *post, const json_t *spec, const Vocab *vocab, const Vocab *added,
                               Err *err);
void postprocess_release(PostProcessor *post);

#endif
