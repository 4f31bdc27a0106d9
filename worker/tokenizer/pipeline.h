/* pipeline - what a Tokenizer is made of; for the files that read one.
 *
 * Owner: the Tokenizer. Threads: const after opening. */
#ifndef WORKER_TOKENIZER_PIPELINE_H
#define WORKER_TOKENIZER_PIPELINE_H

#include "worker/tokenizer/added_tokens.h"
#include "worker/tokenizer/class.h"
#include "worker/tokenizer/decoder.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/postprocess.h"
#include "worker/tokenizer/pretokenizer.h"
#include "worker/tokenizer/token_model.h"
#include "worker/tokenizer/tokenizer.h"

#include <string.h>

/* Spaces at the ends of a token as the byte-level alphabet has them. */
typedef struct TokenSpaces {
    uint16_t lead, trail;
} TokenSpaces;

/* tokenizer_config.json's "bos_token" and the like. */
typedef struct NamedToken {
    char *name; /* owned */
    int32_t id;
} NamedToken;

struct Tokenizer {
    Normalizer normalizer;
    PreTokenizer pretokenizer;
    TokenModel model;
    AddedTokens added;
    PostProcessor post;
    TokenDecoder decoder;
    TokenSpaces *spaces; /* [model's ids] if the post-processor trims offsets; owned */
    NamedToken *named; /* [named_count], owned */
    size_t named_count;
    uint64_t digest;
    bool has_types;
    bool cuts_left; /* truncation_side */
};

/* -1: no such token, among those that were added and those of the model. */
static inline int32_t pipeline_id(const Tokenizer *tokenizer, const char *token)
{
    const size_t n = strlen(token);
    const int32_t added = vocab_find(&tokenizer->added.ids, token, n);
    return added >= 0 ? added : vocab_find(&tokenizer->model.vocab, token, n);
}

/* Fills tokenizer->added and tokenizer->named, when the model has been read. class may be NULL. */
MUST_USE bool special_tokens_read(Tokenizer *tokenizer, const TokenizerFolder *files, const TokenizerClass *class,
                                  Err *err);
void special_tokens_release(Tokenizer *tokenizer);

/* Spaces at the ends of text[0, n), its letters taken as the byte-level alphabet's. */
TokenSpaces token_spaces(const char *text, size_t n);

#endif
