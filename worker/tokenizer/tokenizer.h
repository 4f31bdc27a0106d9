/* tokenizer - text to token ids, exactly as AutoTokenizer of Hugging Face Transformers does.
 *
 * Read from the files of a model folder (folder.h); which of their settings count is the business of the class that
 * AutoTokenizer would take (class.h), and which tokens are taken whole that of special_tokens.c. The pipeline: added
 * tokens, normalizer, pre-tokenizer, model, truncation, post-processor. A max_length or padding written in
 * tokenizer.json is ignored: the run's max_length rules (longest_first, on truncation_side).
 *
 * Owner: whoever opened it. Threads: const after opening; tokenizer_encode may
 * be called from several threads with an Encoding each. */
#ifndef WORKER_TOKENIZER_TOKENIZER_H
#define WORKER_TOKENIZER_TOKENIZER_H

#include "common/base/err.h"
#include "common/base/text.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Tokenizer Tokenizer;

/* The result of one call; reusable, zeroed is empty. */
typedef struct Encoding {
    int32_t *ids, *types; /* [count], owned */
    int32_t *words; /* [count] word of each token, -1: a special token; owned */
    int32_t *offsets; /* [count][2] begin and end in code points of its text; owned */
    int64_t count, room;
    struct Scratch *scratch; /* owned; the tokenizer's alone */
} Encoding;

MUST_USE Tokenizer *tokenizer_open(const char *model_folder, Err *err);
void tokenizer_close(Tokenizer *tokenizer);

/* text[0,n) valid UTF-8; pair may be NULL. max_length <= 0: no truncation. False:
 * max_length leaves no room beside the special tokens. Replaces *out's contents. */
MUST_USE bool tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t n, const char *pair, size_t pair_n,
                               int64_t max_length, Encoding *out, Err *err);
void encoding_release(Encoding *encoding);

/* *to, zeroed, takes what *from holds of a text; what that works with stays there, for the next one. */
void encoding_move(Encoding *to, Encoding *from);

typedef struct WordList {
    const char *const *text; /* [count] valid UTF-8 */
    const size_t *size;
    int64_t count;
} WordList;

/* A text that is split already (is_split_into_words): out->words says which word a token is of. */
MUST_USE bool tokenizer_encode_words(const Tokenizer *tokenizer, const WordList *words, int64_t max_length,
                                     Encoding *out, Err *err);

/* A text with windows over its pair: how many tokens there are, special ones apart. */
typedef struct PairTokens {
    int64_t text, pair, specials;
    bool paired; /* an empty second text is none: the text stands alone */
    bool from_end; /* windows are cut from the end on (truncation_side) */
} PairTokens;
MUST_USE bool tokenizer_pair_begin(const Tokenizer *tokenizer, const char *text, size_t n, const char *pair,
                                   size_t pair_n, PairTokens *counts, Encoding *out, Err *err);

/* Behind it, with the same *out: the whole text with the pair's tokens [from, from + count). Returns where these begin. */
int64_t tokenizer_pair_window(const Tokenizer *tokenizer, const PairTokens *counts, int64_t from, int64_t count,
                              Encoding *out);

/* Without special tokens around it: for prompts that are joined, and texts a chat template made. */
MUST_USE bool tokenizer_encode_plain(const Tokenizer *tokenizer, const char *text, size_t n, Encoding *out, Err *err);

/* The text of ids, by the tokenizer's decoder; skip_special leaves special tokens out. */
void tokenizer_decode(const Tokenizer *tokenizer, const int32_t *ids, int64_t n, bool skip_special, Text *out);

/* Decoding as ids arrive: add() appends what is certain (no half characters, no space that a later
 * token may take away), end() the rest. The joined text is tokenizer_decode's. */
typedef struct DecodeStream DecodeStream;
DecodeStream *decode_stream_new(const Tokenizer *tokenizer, bool skip_special);
void decode_stream_add(DecodeStream *stream, int32_t id, Text *out);
void decode_stream_end(DecodeStream *stream, Text *out);
void decode_stream_free(DecodeStream *stream);

int64_t tokenizer_size(const Tokenizer *tokenizer); /* 1 + the largest id */
uint64_t tokenizer_digest(const Tokenizer *tokenizer); /* of what it was read from */
int32_t tokenizer_id(const Tokenizer *tokenizer, const char *token); /* -1: none */
bool tokenizer_has_types(const Tokenizer *tokenizer); /* model_input_names has token_type_ids */

/* tokenizer_config.json's (else special_tokens_map.json's) names: "bos_token", "eos_token",
 * "pad_token", ...; -1 where there is none. */
int32_t tokenizer_special(const Tokenizer *tokenizer, const char *name);
const char *tokenizer_token(const Tokenizer *tokenizer, int32_t id); /* NULL: no such id */

#endif
