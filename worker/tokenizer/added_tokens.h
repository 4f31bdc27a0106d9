/* added_tokens - the tokens that are found in a text whole, before anything else
 * is done to it ([CLS], <|endoftext|>): tokenizer.json's `added_tokens`.
 *
 * Those with normalized = false are looked for in the text as it is, the others
 * in its normal form. Of several that match, the leftmost wins, then the longest.
 *
 * Owner: the tokenizer. Threads: const after reading. */
#ifndef WORKER_TOKENIZER_ADDED_TOKENS_H
#define WORKER_TOKENIZER_ADDED_TOKENS_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/vocab.h"

/* As tokenizers' AddedToken. */
typedef struct AddedToken {
    Text content; /* what is looked for; owned by the list it is in */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} AddedToken;

/* Tokens sorted by first byte, longest first. Zeroed is empty. */
typedef struct AddedSet {
    AddedToken *tokens; /* [count], owned */
    size_t count;
    size_t first[257]; /* tokens that start with byte b: [first[b], first[b+1]) */
} AddedSet;

typedef struct AddedTokens {
    AddedSet all; /* as they were added, contents as written; not sorted */
    AddedSet raw, normalized;
    Vocab ids; /* contents as written */
    Vocab specials; /* those of them that are special */
    Vocab shown; /* names alone: what ids are decoded to, contents in their normal form */
} AddedTokens;

/* A place to go on from, and what was found there. Start with {0}. */
typedef struct AddedMatch {
    size_t start, end; /* of the token with the spaces it takes in */
    int32_t id;
    size_t search; /* private: where to look next */
} AddedMatch;

/* Adds the list of tokenizer.json. An id must be the one that added_tokens_add would give. */
MUST_USE bool added_tokens_read(AddedTokens *added, const json_t *list, const Vocab *vocab, Err *err);

/* {"content", "lstrip", ..}, special where `spec` does not say. False: it is nothing like that. */
MUST_USE bool added_token_read(AddedToken *token, const char **content, const json_t *spec, bool special, Err *err);

/* Adds one as tokenizers does: its id is that of the same token in `vocab` or added before, else the next free
 * one; a token that is there already gets the newer flags. token->content and id are not read. */
void added_tokens_add(AddedTokens *added, const char *content, AddedToken token, const Vocab *vocab);

/* Makes what added_tokens_next looks through; all are added. split_specials: special tokens in a text are letters
 * as any others. */
MUST_USE bool added_tokens_finish(AddedTokens *added, const Normalizer *normalizer, bool split_specials, Err *err);
void added_tokens_release(AddedTokens *added);

/* The next token of text[0, n); false: there is none. The text between two
 * matches is [end of the one, start of the next), empty when that is not behind. */
bool added_tokens_next(const AddedSet *set, const char *text, size_t n, AddedMatch *match);

#endif
