/* pipeline - what a Tokenizer is made of; for the files that read one. */
#ifndef WORKER_TOKENIZER_PIPELINE_H
#define WORKER_TOKENIZER_PIPELINE_H

#include "worker/tokenizer/added_tokens.h"
#include "worker/tokenizer/decoder.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/postprocess.h"
#include "worker/tokenizer/pretokenizer.h"
#include "worker/tokenizer/token_model.h"
#include "worker/tokenizer/tokenizer.h"

#include <jansson.h>

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
    Decoder decoder;
    TokenSpaces *spaces; /* [model's ids] if the post-processor trims offsets; owned */
    NamedToken *named;   /* [named_count], owned */
    size_t named_count;
    uint64_t digest;
    bool has_types;
};

/* What is read beside the tokenizer itself; NULL where there is no such file. */
typedef struct TokenizerFiles {
    json_t *config, *specials, *added; /* owned */
} TokenizerFiles;

/* A whole tokenizer.json as BERT's vocab.txt and tokenizer_config.json mean it; NULL
 * with *err set. `config` may be NULL. The caller's, to json_decref. */
MUST_USE json_t *vocab_txt_as_json(const char *path, const char *data, size_t size,
                                   const json_t *config, Err *err);

/* The same of vocab.json and merges.txt, for GPT-2, RoBERTa and Qwen2. */
MUST_USE json_t *vocab_json_as_json(const char *path, json_t *vocab, const char *merges,
                                    size_t size, const TokenizerFiles *files, Err *err);

/* Fills tokenizer->named. */
MUST_USE bool special_names_read(Tokenizer *tokenizer, const TokenizerFiles *files, Err *err);
void special_names_release(Tokenizer *tokenizer);

/* Spaces at the ends of text[0, n), its letters taken as the byte-level alphabet's. */
TokenSpaces token_spaces(const char *text, size_t n);

#endif
