/* token_model - what turns one piece of text into ids: tokenizer.json's `model`.
 *
 * A new kind is a file with a TokenModelKind, and its row in token_model.c.
 *
 * Owner: the tokenizer. Threads: const after reading. */
#ifndef WORKER_TOKENIZER_TOKEN_MODEL_H
#define WORKER_TOKENIZER_TOKEN_MODEL_H

#include "common/base/err.h"
#include "worker/tokenizer/scratch.h"
#include "worker/tokenizer/vocab.h"

#include <jansson.h>

typedef struct TokenModelKind {
    const char *name;
    /* Fills *vocab; NULL with *err set on failure. */
    void *(*read)(const json_t *model, Vocab *vocab, Err *err);
    void (*encode)(const void *state, const char *piece, size_t n, Ids *out);
    void (*free)(void *state); /* NULL is fine */
} TokenModelKind;

/* Zeroed is empty. */
typedef struct TokenModel {
    const TokenModelKind *kind;
    void *state; /* owned */
    Vocab vocab;
} TokenModel;

MUST_USE bool token_model_read(TokenModel *model, const json_t *spec, Err *err);
void token_model_release(TokenModel *model);

extern const TokenModelKind wordpiece_model;

#endif
