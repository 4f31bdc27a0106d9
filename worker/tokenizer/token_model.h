/* token_model - what turns one piece of text into tokens: tokenizer.json's `model`.
 *
 * A new kind is a file with a TokenModelKind, and its row in token_model.c.
 *
 * Owner: the tokenizer. Threads: const after reading. */
#ifndef WORKER_TOKENIZER_TOKEN_MODEL_H
#define WORKER_TOKENIZER_TOKEN_MODEL_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "worker/tokenizer/scratch.h"
#include "worker/tokenizer/vocab.h"

typedef struct TokenModelKind {
    const char *name;
    /* Fills *vocab; NULL with *err set on failure. */
    void *(*read)(const json_t *model, Vocab *vocab, Err *err);
    /* Adds the tokens of piece[0, n), n > 0, with their places in it. */
    void (*encode)(const void *state, const char *piece, size_t n, Scratch *scratch, Tokens *out);
    void (*free)(void *state); /* NULL is fine */
    /* From now on pieces are bytes, not letters of the byte-level alphabet: false, if it
     * cannot be. NULL: it cannot. */
    bool (*take_bytes)(void *state);
    /* Whether a piece may be cut before a mark that follows another character, the parts'
     * tokens being the whole's. NULL: no. */
    bool (*cuts_at_marks)(const void *state);
} TokenModelKind;

/* Zeroed is empty. */
typedef struct TokenModel {
    const TokenModelKind *kind;
    void *state; /* owned */
    Vocab vocab;
    bool at_marks; /* cuts_at_marks */
} TokenModel;

MUST_USE bool token_model_read(TokenModel *model, const json_t *spec, Err *err);
void token_model_release(TokenModel *model);

/* Adds the tokens of a piece; words met before come from the scratch's cache, which is
 * `owner`'s. */
void token_model_encode(const TokenModel *model, uint64_t owner, const char *piece, size_t n, Scratch *scratch,
                        Tokens *out);

extern const TokenModelKind bpe_model;
extern const TokenModelKind unigram_model;
extern const TokenModelKind wordlevel_model;
extern const TokenModelKind wordpiece_model;

#endif
