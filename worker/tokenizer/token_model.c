#include "worker/tokenizer/token_model.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/word_cache.h"

#include <string.h>

#define MARK "\xE2\x96\x81" /* what SentencePiece writes for a space */
enum { MARK_SIZE = 3 };

static const TokenModelKind *const kinds[] = { &bpe_model, &unigram_model, &wordlevel_model, &wordpiece_model };

/* Files of old have no type; the fields tell. */
static const char *guess(const json_t *spec)
{
    if (json_object_get(spec, "merges"))
        return "BPE";
    return json_object_get(spec, "max_input_chars_per_word") ? "WordPiece" : NULL;
}

bool token_model_read(TokenModel *model, const json_t *spec, Err *err)
{
    if (!json_is_object(spec))
        return err_set(err, ERR_INPUT, "there is no 'model'");
    const char *name = json_get_string(spec, "type", guess(spec), err);
    if (!name)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "the model has no 'type'") : false;
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if (strcmp(kinds[i]->name, name) != 0)
            continue;
        model->kind = kinds[i];
        model->state = kinds[i]->read(spec, &model->vocab, err);
        model->at_marks = model->state && kinds[i]->cuts_at_marks && kinds[i]->cuts_at_marks(model->state);
        return model->state != NULL;
    }
    return err_set(err, ERR_INPUT, "model type '%s' is not supported", name);
}

void token_model_release(TokenModel *model)
{
    if (model->kind)
        model->kind->free(model->state);
    vocab_release(&model->vocab);
    *model = (TokenModel){ 0 };
}

static void encode_word(const TokenModel *model, WordCache *cache, const char *word, size_t n, Scratch *scratch,
                        Tokens *out)
{
    bool found = false;
    CachedWord *slot = word_cache_find(cache, word, n, &found);
    if (!found) {
        const int64_t before = out->count;
        model->kind->encode(model->state, word, n, scratch, out);
        if (slot)
            word_cache_keep(slot, word, n, out->data + before, out->count - before);
        return;
    }
    for (uint8_t i = 0, begin = 0; i < slot->count; begin = slot->ends[i++])
        tokens_add(out, slot->ids[i], begin, slot->ends[i]);
}

/* Up to the first mark that follows another character. */
static size_t word_end(const char *piece, size_t n)
{
    for (size_t at = 1; at + MARK_SIZE <= n; at++) {
        const char *hit = memmem(piece + at, n - at, MARK, MARK_SIZE);
        if (!hit)
            break;
        at = (size_t)(hit - piece);
        if (at < MARK_SIZE || memcmp(hit - MARK_SIZE, MARK, MARK_SIZE) != 0)
            return at;
    }
    return n;
}

void token_model_encode(const TokenModel *model, uint64_t owner, const char *piece, size_t n, Scratch *scratch,
                        Tokens *out)
{
    WordCache *cache = word_cache_of(scratch, owner);
    if (!model->at_marks) {
        encode_word(model, cache, piece, n, scratch, out);
        return;
    }
    for (size_t at = 0; at < n;) {
        const size_t size = word_end(piece + at, n - at);
        const int64_t before = out->count;
        encode_word(model, cache, piece + at, size, scratch, out);
        for (int64_t i = before; i < out->count; i++) {
            out->data[i].begin += (uint32_t)at;
            out->data[i].end += (uint32_t)at;
        }
        at += size;
    }
}
