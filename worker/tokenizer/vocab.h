/* vocab - tokens to ids by an open hash, filled once and then only read.
 *
 * The hash is a running one: vocab_hash_more over a longer and longer piece
 * gives the hash of each of its beginnings, which is what greedy matching asks.
 *
 * Owner: the tokenizer or its model. Threads: const after filling. */
#ifndef WORKER_TOKENIZER_VOCAB_H
#define WORKER_TOKENIZER_VOCAB_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/text.h"

#include <stddef.h>
#include <stdint.h>

#define VOCAB_HASH_START UINT64_C(0xcbf29ce484222325)

typedef struct VocabSlot {
    uint32_t hash; /* upper half of the mixed hash */
    uint32_t size;
    int64_t at; /* offset in `bytes`; -1: free */
    int32_t id;
} VocabSlot;

/* Zeroed is empty and valid. */
typedef struct Vocab {
    VocabSlot *slots; /* [mask + 1], owned */
    size_t mask, count;
    size_t longest; /* bytes of the longest token */
    int64_t largest; /* id; -1 when empty */
    Text bytes; /* the tokens, '\0' behind each */
    int64_t *places; /* [largest + 1] of ids in `bytes`, -1: no such id; owned */
    size_t room;
} Vocab;

void vocab_release(Vocab *vocab);

/* False: the token is there already, and keeps its id. */
bool vocab_add(Vocab *vocab, const char *token, size_t n, int32_t id);

/* What vocab_token says of an id, if nothing yet; it is not found by that. */
void vocab_add_name(Vocab *vocab, const char *token, size_t n, int32_t id);

/* Adds a json object of token: id, each id once. There may be ids between that no token has. */
MUST_USE bool vocab_read(Vocab *vocab, const json_t *object, Err *err);

static inline uint64_t vocab_hash_more(uint64_t hash, char byte)
{
    return (hash ^ (unsigned char)byte) * UINT64_C(0x100000001b3); /* FNV-1a */
}

/* -1: none. `hash` is vocab_hash_more over token[0, n) from VOCAB_HASH_START. */
int32_t vocab_find_hashed(const Vocab *vocab, uint64_t hash, const char *token, size_t n);
int32_t vocab_find(const Vocab *vocab, const char *token, size_t n);

/* The token of an id, NULL: there is none. Of ids shared by tokens, the first. */
const char *vocab_token(const Vocab *vocab, int32_t id);

#endif
