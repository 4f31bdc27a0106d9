/* Unigram: the way through a piece whose tokens have the largest sum of scores; what no
 * token covers is unknown, side by side one token, or bytes (<0x0A>). */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/token_model.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

static const double UNKNOWN_PENALTY = 10.0;

typedef struct Unigram {
    const Vocab *vocab; /* borrowed */
    Vocab starts; /* tokens, and beginnings of them, whose id is `count` */
    int32_t count;
    double *scores; /* [count], owned */
    double unknown_score;
    int32_t unknown;
    bool byte_fallback;
    int32_t fallback[256];
} Unigram;

/* The best way to a place in the piece. */
typedef struct Step {
    double score;
    int64_t from; /* -1: none yet */
    int32_t id;
} Step;

static void unigram_free(void *state)
{
    Unigram *unigram = state;
    if (!unigram)
        return;
    vocab_release(&unigram->starts);
    free(unigram->scores);
    free(unigram);
}

/* ---- reading --------------------------------------------------------------- */

static void add_starts(Unigram *unigram, const char *token, size_t n)
{
    for (size_t end = 0; end < n;) {
        unicode_next(token, &end);
        vocab_add(&unigram->starts, token, end, unigram->count);
    }
}

static bool read_vocab(Unigram *unigram, const json_t *list, Vocab *vocab, Err *err)
{
    const size_t count = json_array_size(list);
    if (count == 0 || count > INT32_MAX)
        return err_set(err, ERR_INPUT, "'vocab' is not a list of tokens and scores");
    unigram->count = (int32_t)count;
    unigram->scores = xcalloc(count, sizeof(unigram->scores[0]));
    double least = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(list, i), *token = json_array_get(row, 0);
        if (!json_is_string(token) || !json_is_number(json_array_get(row, 1)))
            return err_set(err, ERR_INPUT, "'vocab' row %zu is not a token and its score", i);
        const char *text = json_string_value(token);
        const double score = json_number_value(json_array_get(row, 1));
        unigram->scores[i] = score;
        least = i == 0 || score < least ? score : least;
        if (!vocab_add(vocab, text, json_string_length(token), (int32_t)i))
            return err_set(err, ERR_INPUT, "'vocab' has token '%s' twice", text);
        vocab_add(&unigram->starts, text, json_string_length(token), (int32_t)i);
    }
    for (int32_t id = 0; id < unigram->count; id++) /* tokens first: they keep their ids */
        add_starts(unigram, vocab_token(vocab, id), strlen(vocab_token(vocab, id)));
    unigram->unknown_score = least - UNKNOWN_PENALTY;
    return true;
}

static void find_fallback(Unigram *unigram)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof(name), "<0x%02X>", (unsigned)byte);
        unigram->fallback[byte] = vocab_find(unigram->vocab, name, strlen(name));
    }
}

static bool read_settings(Unigram *unigram, const json_t *model, Vocab *vocab, Err *err)
{
    const int64_t unknown = json_get_int(model, "unk_id", -1, err);
    unigram->byte_fallback = json_get_bool(model, "byte_fallback", false, err);
    if (err->kind != ERR_NONE || !read_vocab(unigram, json_object_get(model, "vocab"), vocab, err))
        return false;
    if (unknown < 0)
        return err_set(err, ERR_INPUT, "Unigram without an 'unk_id' is not supported");
    if (unknown > vocab->largest)
        return err_set(err, ERR_INPUT, "'unk_id' %lld is not in the vocabulary", (long long)unknown);
    unigram->unknown = (int32_t)unknown;
    find_fallback(unigram);
    return true;
}

static void *unigram_read(const json_t *model, Vocab *vocab, Err *err)
{
    Unigram *unigram = xcalloc(1, sizeof(*unigram));
    unigram->vocab = vocab;
    if (!read_settings(unigram, model, vocab, err)) {
        unigram_free(unigram);
        return NULL;
    }
    return unigram;
}

/* ---- encoding -------------------------------------------------------------- */

static void improve(Step *steps, size_t end, size_t from, double score, int32_t id)
{
    if (steps[end].from < 0 || score > steps[end].score)
        steps[end] = (Step){ score, (int64_t)from, id };
}

/* Goes on from steps[at] by all tokens that begin there. */
static void step_on(const Unigram *unigram, const char *piece, size_t at, size_t n, Step *steps)
{
    const double here = steps[at].score;
    size_t character = at;
    unicode_next(piece, &character);
    bool single = false;
    uint64_t hash = VOCAB_HASH_START;
    for (size_t end = at, done = at; end < n;) {
        unicode_next(piece, &end);
        for (; done < end; done++)
            hash = vocab_hash_more(hash, piece[done]);
        const int32_t id = vocab_find_hashed(&unigram->starts, hash, piece + at, end - at);
        if (id < 0)
            break;
        if (id < unigram->count) {
            improve(steps, end, at, unigram->scores[id] + here, id);
            single |= end == character;
        }
    }
    if (!single)
        improve(steps, character, at, unigram->unknown_score + here, unigram->unknown);
}

/* What no token covers: as tokenizers, by its text once more. */
static void add_text(const Unigram *unigram, const char *piece, size_t begin, size_t end, Tokens *out)
{
    const int32_t id = vocab_find(unigram->vocab, piece + begin, end - begin);
    bool spelled = id < 0 && unigram->byte_fallback;
    for (size_t i = begin; spelled && i < end; i++)
        spelled = unigram->fallback[(unsigned char)piece[i]] >= 0;
    if (!spelled) {
        tokens_add(out, id >= 0 ? id : unigram->unknown, begin, end);
        return;
    }
    for (size_t i = begin; i < end; i++)
        tokens_add(out, unigram->fallback[(unsigned char)piece[i]], begin, end);
}

static void unigram_encode(const void *state, const char *piece, size_t n, Scratch *scratch, Tokens *out)
{
    const Unigram *unigram = state;
    Step *steps = model_room(&scratch->model, (n + 1) * sizeof(Step));
    for (size_t i = 0; i <= n; i++)
        steps[i] = (Step){ 0, i > 0 ? -1 : 0, 0 };
    for (size_t at = 0; at < n; unicode_next(piece, &at))
        step_on(unigram, piece, at, n, steps);
    /* Backwards to a list of ends, then forwards. */
    size_t count = 0;
    size_t *ends = model_room(&scratch->queue, (n + 1) * sizeof(size_t));
    for (size_t end = n; end > 0; end = (size_t)steps[end].from)
        ends[count++] = end;
    for (size_t begin = 0; count > 0;) {
        size_t end = ends[--count];
        if (steps[end].id == unigram->unknown)
            while (count > 0 && steps[ends[count - 1]].id == unigram->unknown)
                end = ends[--count];
        add_text(unigram, piece, begin, end, out);
        begin = end;
    }
}

const TokenModelKind unigram_model = {
    .name = "Unigram",
    .read = unigram_read,
    .encode = unigram_encode,
    .free = unigram_free,
};
