/* tokenizer - text to token ids, exactly as Hugging Face `tokenizers` does.
 *
 * Read from MODEL/tokenizer.json; else from vocab.txt + tokenizer_config.json
 * (BERT's). The pipeline: added tokens, normalizer, pre-tokenizer, model,
 * truncation, post-processor. Truncation and padding written in tokenizer.json
 * are ignored: the run's max_length rules (longest_first, right side).
 *
 * Owner: whoever opened it. Threads: const after opening; tokenizer_encode may
 * be called from several threads with an Encoding each. */
#ifndef WORKER_TOKENIZER_TOKENIZER_H
#define WORKER_TOKENIZER_TOKENIZER_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Tokenizer Tokenizer;

/* The result of one call; reusable, zeroed is empty. */
typedef struct Encoding {
    int32_t *ids, *types; /* [count], owned */
    int64_t count, room;
    struct Scratch *scratch; /* owned; the tokenizer's alone */
} Encoding;

MUST_USE Tokenizer *tokenizer_open(const char *model_folder, Err *err);
void tokenizer_close(Tokenizer *tokenizer);

/* text[0,n) valid UTF-8; pair may be NULL. max_length <= 0: no truncation. False:
 * max_length leaves no room beside the special tokens. Replaces *out's contents. */
MUST_USE bool tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t n,
                               const char *pair, size_t pair_n, int64_t max_length, Encoding *out,
                               Err *err);
void encoding_release(Encoding *encoding);

int64_t tokenizer_size(const Tokenizer *tokenizer);                  /* 1 + the largest id */
uint64_t tokenizer_digest(const Tokenizer *tokenizer);               /* of what it was read from */
int32_t tokenizer_id(const Tokenizer *tokenizer, const char *token); /* -1: none */
bool tokenizer_has_types(const Tokenizer *tokenizer); /* model_input_names has token_type_ids */

#endif
