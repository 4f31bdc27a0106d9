/* decoder - what joins tokens to a text again: tokenizer.json's `decoder`, a Sequence
 * being flattened into stages that hand each other tokens.
 *
 * Tokens may come one by one: a stage passes on what later ones cannot change and
 * holds the rest until it can, or the end.
 *
 * Owner: a TokenDecoder: the tokenizer; a DecodeChain: whoever decodes. Threads: a TokenDecoder is
 * const after reading; a chain belongs to one thread. */
#ifndef WORKER_TOKENIZER_DECODER_H
#define WORKER_TOKENIZER_DECODER_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "worker/tokenizer/pattern.h"
#include "worker/tokenizer/pretokenizer.h"

typedef struct DecoderOp DecoderOp;
typedef struct DecodeChain DecodeChain;

/* Stage k of a chain takes tokens and gives them to stage k + 1 by decode_pass. */
typedef struct DecoderKind {
    const char *name;
    bool (*read)(DecoderOp *op, const json_t *settings, Err *err); /* NULL: no settings */
    /* A whole token; or, if `parts`, some of one, `ends` with its last part. */
    void (*take)(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends);
    void (*end)(DecodeChain *chain, size_t k); /* NULL: nothing is held */
    bool parts;
} DecoderKind;

struct DecoderOp {
    const DecoderKind *kind;
    Text word; /* WordPiece's prefix, BPEDecoder's suffix, Strip's and Metaspace's character */
    bool cleanup; /* WordPiece */
    bool drop_first; /* Metaspace: no space before the first token */
    int64_t start, stop; /* Strip */
    Pattern pattern; /* Replace */
    Text content;
};

/* Zeroed puts a space between tokens. */
typedef struct TokenDecoder {
    DecoderOp *ops; /* [count], owned */
    size_t count;
} TokenDecoder;

/* `spec` as in tokenizer.json; NULL or null: none. */
MUST_USE bool decoder_read(TokenDecoder *decoder, const json_t *spec, Err *err);
void decoder_release(TokenDecoder *decoder);

typedef struct DecodeStage {
    Text part; /* of a token whose end has not come */
    Text held; /* what the stage keeps */
    int64_t tokens; /* taken so far */
    int64_t cut; /* Strip: characters looked at from the token's start; -1: done */
    Segments segments;
} DecodeStage;

struct DecodeChain {
    const TokenDecoder *decoder; /* borrowed */
    DecodeStage *stages; /* [decoder->count], owned */
    Text *out; /* borrowed: set before each call */
};

void decode_chain_init(DecodeChain *chain, const TokenDecoder *decoder);
void decode_chain_add(DecodeChain *chain, const char *token, size_t n);
void decode_chain_end(DecodeChain *chain);
void decode_chain_release(DecodeChain *chain);

/* Hands text[0, n) to stage k; `ends`: the token is whole with it. */
void decode_pass(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends);

/* Stages that work on bytes, in decode_bytes.c. */
void byte_level_take(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends);
void byte_level_end(DecodeChain *chain, size_t k);
void byte_fallback_take(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends);
void byte_fallback_end(DecodeChain *chain, size_t k);

#endif
