#include "worker/tokenizer/vocab.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

void vocab_release(Vocab *vocab)
{
    free(vocab->slots);
    free(vocab->places);
    text_release(&vocab->bytes);
    *vocab = (Vocab){ 0 };
}

/* FNV's low bits are poor: spread what the upper ones know. */
static uint64_t mixed(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static VocabSlot *slot_of(const Vocab *vocab, uint64_t hash, const char *token, size_t n)
{
    const uint64_t m = mixed(hash);
    const uint32_t tag = (uint32_t)(m >> 32);
    for (size_t i = (size_t)m & vocab->mask;; i = (i + 1) & vocab->mask) {
        VocabSlot *slot = &vocab->slots[i];
        if (slot->at < 0 ||
            (slot->hash == tag && slot->size == n && memcmp(vocab->bytes.data + slot->at, token, n) == 0))
            return slot;
    }
}

static uint64_t hash_of(const char *token, size_t n)
{
    uint64_t hash = VOCAB_HASH_START;
    for (size_t i = 0; i < n; i++)
        hash = vocab_hash_more(hash, token[i]);
    return hash;
}

static void grow(Vocab *vocab)
{
    const Vocab old = *vocab;
    const size_t room = old.slots ? 2 * (old.mask + 1) : 1024;
    vocab->slots = xmalloc(room * sizeof(vocab->slots[0]));
    vocab->mask = room - 1;
    for (size_t i = 0; i < room; i++)
        vocab->slots[i].at = -1;
    for (size_t i = 0; old.slots && i <= old.mask; i++) {
        const VocabSlot *slot = &old.slots[i];
        if (slot->at < 0)
            continue;
        const char *token = vocab->bytes.data + slot->at;
        *slot_of(vocab, hash_of(token, slot->size), token, slot->size) = *slot;
    }
    free(old.slots);
}

static void set_place(Vocab *vocab, int32_t id, int64_t place)
{
    const size_t need = (size_t)id + 1, old = vocab->room;
    if (need > old) {
        vocab->room = need > 2 * old ? need : 2 * old;
        vocab->places = xrealloc(vocab->places, vocab->room * sizeof(vocab->places[0]));
        for (size_t i = old; i < vocab->room; i++)
            vocab->places[i] = -1;
    }
    if (vocab->places[id] < 0)
        vocab->places[id] = place;
}

const char *vocab_token(const Vocab *vocab, int32_t id)
{
    if (id < 0 || (size_t)id >= vocab->room || vocab->places[id] < 0)
        return NULL;
    return vocab->bytes.data + vocab->places[id];
}

void vocab_add_name(Vocab *vocab, const char *token, size_t n, int32_t id)
{
    set_place(vocab, id, (int64_t)vocab->bytes.size);
    text_add(&vocab->bytes, token, n);
    text_add(&vocab->bytes, "", 1);
}

bool vocab_add(Vocab *vocab, const char *token, size_t n, int32_t id)
{
    if (!vocab->slots || 2 * vocab->count >= vocab->mask)
        grow(vocab);
    const uint64_t hash = hash_of(token, n);
    VocabSlot *slot = slot_of(vocab, hash, token, n);
    if (slot->at >= 0)
        return false;
    *slot = (VocabSlot){
        .hash = (uint32_t)(mixed(hash) >> 32), .size = (uint32_t)n, .at = (int64_t)vocab->bytes.size, .id = id
    };
    vocab_add_name(vocab, token, n, id);
    if (vocab->count == 0 || id > vocab->largest)
        vocab->largest = id;
    if (n > vocab->longest)
        vocab->longest = n;
    vocab->count++;
    return true;
}

int32_t vocab_find_hashed(const Vocab *vocab, uint64_t hash, const char *token, size_t n)
{
    if (!vocab->slots)
        return -1;
    const VocabSlot *slot = slot_of(vocab, hash, token, n);
    return slot->at < 0 ? -1 : slot->id;
}

int32_t vocab_find(const Vocab *vocab, const char *token, size_t n)
{
    return vocab_find_hashed(vocab, hash_of(token, n), token, n);
}

/* One that is far beyond the number of tokens would cost memory for nothing. */
enum { LARGEST_ID = (1 << 24) - 1 };

static bool read_id(int32_t *id, const char *token, const json_t *value, Err *err)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > LARGEST_ID)
        return err_set(err, ERR_INPUT, "the id of token '%s' is not a whole number from 0 to %d", token, LARGEST_ID);
    *id = (int32_t)json_integer_value(value);
    return true;
}

bool vocab_read(Vocab *vocab, const json_t *object, Err *err)
{
    if (!json_is_object(object))
        return err_set(err, ERR_INPUT, "'vocab' is not an object of token: id");
    const size_t count = json_object_size(object);
    if (count == 0 || count > LARGEST_ID)
        return err_set(err, ERR_INPUT, "'vocab' has %zu tokens", count);
    const char *token;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, token, value)
    {
        int32_t id = 0;
        if (!read_id(&id, token, value, err))
            return false;
        const char *other = vocab_token(vocab, id);
        if (other)
            return err_set(err, ERR_INPUT, "tokens '%s' and '%s' have the same id %d", other, token, (int)id);
        vocab_add(vocab, token, strlen(token), id);
    }
    return true;
}
