#include "worker/tokenizer/word_cache.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

WordCache *word_cache_of(Scratch *scratch, uint64_t owner)
{
    if (scratch->cache && scratch->cache->owner != owner) {
        free(scratch->cache);
        scratch->cache = NULL;
    }
    if (!scratch->cache) {
        scratch->cache = xcalloc(1, sizeof(*scratch->cache));
        scratch->cache->owner = owner;
    }
    return scratch->cache;
}

/* word[0, n) with zeros behind. */
static void load(uint64_t out[CACHED_BYTES / 8], const char *word, size_t n)
{
    out[0] = out[1] = out[2] = 0;
    memcpy(out, word, n);
}

static size_t slot_of(const uint64_t word[CACHED_BYTES / 8], size_t n)
{
    uint64_t hash = (word[0] ^ n) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 32 ^ word[1]) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 32 ^ word[2]) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(hash >> 40) % CACHE_SLOTS;
}

CachedWord *word_cache_find(WordCache *cache, const char *word, size_t n, bool *found)
{
    *found = false;
    if (n == 0 || n > CACHED_BYTES)
        return NULL;
    uint64_t key[CACHED_BYTES / 8];
    load(key, word, n);
    CachedWord *slot = &cache->slots[slot_of(key, n)];
    *found = slot->size == n && slot->word[0] == key[0] && slot->word[1] == key[1] && slot->word[2] == key[2];
    return slot;
}

void word_cache_keep(CachedWord *slot, const char *word, size_t n, const Token *tokens, int64_t count)
{
    if (count > CACHED_TOKENS)
        return;
    for (int64_t i = 0; i < count; i++)
        if (tokens[i].begin != (i > 0 ? tokens[i - 1].end : 0) || tokens[i].end > CACHED_BYTES)
            return;
    load(slot->word, word, n);
    slot->size = (uint8_t)n;
    slot->count = (uint8_t)count;
    for (int64_t i = 0; i < count; i++) {
        slot->ids[i] = tokens[i].id;
        slot->ends[i] = (uint8_t)tokens[i].end;
    }
}
