/* word_cache - the tokens of words met before: texts repeat them, models are slow.
 *
 * A table of fixed size in which a newer word takes the place of an older one; only
 * short words of few tokens are kept, each token beginning where the one before ends.
 *
 * Owner: the Scratch. Threads: one. */
#ifndef WORKER_TOKENIZER_WORD_CACHE_H
#define WORKER_TOKENIZER_WORD_CACHE_H

#include "worker/tokenizer/scratch.h"

#include <stddef.h>
#include <stdint.h>

enum { CACHED_BYTES = 24, CACHED_TOKENS = 7, CACHE_SLOTS = 1 << 14 };

/* A cache line. */
typedef struct CachedWord {
    uint64_t word[CACHED_BYTES / 8]; /* zeros behind its end */
    uint8_t size, count; /* size 0: free */
    uint8_t ends[CACHED_TOKENS];
    int32_t ids[CACHED_TOKENS];
} CachedWord;

typedef struct WordCache {
    uint64_t owner; /* the tokenizer whose words these are */
    CachedWord slots[CACHE_SLOTS];
} WordCache;

/* The scratch's cache, emptied if it was another tokenizer's. */
WordCache *word_cache_of(Scratch *scratch, uint64_t owner);

/* The slot in which `word` is or would be kept; NULL: too long. *found: it is there. */
CachedWord *word_cache_find(WordCache *cache, const char *word, size_t n, bool *found);

/* Fills `slot`, found for this word, if the tokens fit. */
void word_cache_keep(CachedWord *slot, const char *word, size_t n, const Token *tokens, int64_t count);

#endif
