/* pipeline - what a Tokenizer is made of; for the files that read one. */
#ifndef WORKER_TOKENIZER_PIPELINE_H
#define WORKER_TOKENIZER_PIPELINE_H

#include "worker/tokenizer/added_tokens.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/postprocess.h"
#include "worker/tokenizer/pretokenizer.h"
#include "worker/tokenizer/token_model.h"
#include "worker/tokenizer/tokenizer.h"

#include <jansson.h>

struct Tokenizer {
    Normalizer normalizer;
    PreTokenizer pretokenizer;
    TokenModel model;
    AddedTokens added;
    PostProcessor post;
    uint64_t digest;
    bool has_types;
};

/* A whole tokenizer.json as BERT's vocab.txt and tokenizer_config.json mean it; NULL
 * with *err set. `config` may be NULL. The caller's, to json_decref. */
MUST_USE json_t *vocab_txt_as_json(const char *path, const char *data, size_t size,
                                   const json_t *config, Err *err);

#endif
