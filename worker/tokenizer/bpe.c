/* BPE: a piece's characters (or bytes) joined pair by pair, in the order the pairs were
 * learned in. Characters that are no tokens become bytes (<0x0A>) or unknown. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/byte_level.h"
#include "worker/tokenizer/merges.h"
#include "worker/tokenizer/token_model.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

#define MARK "\xE2\x96\x81"

typedef struct Bpe {
    const Vocab *vocab; /* borrowed */
    Merges merges;
    Text prefix, suffix; /* of symbols that do not start, that end a piece */
    int32_t unknown; /* -1: such characters are left out */
    bool fuse_unknown, byte_fallback, ignore_merges;
    bool whole_bytes; /* each of fallback[] is a token */
    int32_t fallback[256]; /* <0x00> .. <0xFF> */
    bool crosses_marks; /* some merge joins a mark to what is before it */
    bool raw; /* pieces are bytes */
    int32_t byte_ids[256]; /* raw: of the letters that stand for them */
    Vocab bytes; /* raw: tokens as the bytes they stand for */
} Bpe;

static void bpe_free(void *state)
{
    Bpe *bpe = state;
    if (!bpe)
        return;
    merges_release(&bpe->merges);
    text_release(&bpe->prefix);
    text_release(&bpe->suffix);
    vocab_release(&bpe->bytes);
    free(bpe);
}

/* ---- reading --------------------------------------------------------------- */

/* "a b", or ["a", "b"]; both lent. */
static bool split_merge(const json_t *spec, size_t rank, const char *part[2], size_t size[2], Err *err)
{
    if (json_is_string(spec)) {
        part[0] = json_string_value(spec);
        const char *space = strchr(part[0], ' ');
        if (space && !strchr(space + 1, ' ')) {
            part[1] = space + 1;
            size[0] = (size_t)(space - part[0]);
            size[1] = strlen(part[1]);
            return true;
        }
    } else if (json_array_size(spec) == 2 && json_is_string(json_array_get(spec, 0)) &&
               json_is_string(json_array_get(spec, 1))) {
        for (size_t i = 0; i < 2; i++) {
            part[i] = json_string_value(json_array_get(spec, i));
            size[i] = json_string_length(json_array_get(spec, i));
        }
        return true;
    }
    return err_set(err, ERR_INPUT, "merge %zu is not a pair of tokens", rank + 1);
}

static bool ends_in_mark(const char *text, size_t n)
{
    return n >= 3 && memcmp(text + n - 3, MARK, 3) == 0;
}

static bool read_merge(Bpe *bpe, const json_t *spec, size_t rank, Text *whole, Err *err)
{
    const char *part[2];
    size_t size[2];
    if (!split_merge(spec, rank, part, size, err))
        return false;
    /* tokenizers counts the prefix in characters and cuts bytes */
    size_t cut = 0;
    for (size_t at = 0; at < bpe->prefix.size; cut++)
        unicode_next(bpe->prefix.data, &at);
    if (cut > size[1])
        return err_set(err, ERR_INPUT, "merge %zu: '%s' is shorter than the prefix", rank + 1, part[1]);
    text_clear(whole);
    text_add(whole, part[0], size[0]);
    text_add(whole, part[1] + cut, size[1] - cut);
    const int32_t left = vocab_find(bpe->vocab, part[0], size[0]);
    const int32_t right = vocab_find(bpe->vocab, part[1], size[1]);
    const int32_t id = vocab_find(bpe->vocab, whole->data, whole->size);
    if (left < 0 || right < 0 || id < 0)
        return err_set(err, ERR_INPUT, "merge %zu: '%.*s' is not in the vocabulary", rank + 1,
                       (int)(left < 0    ? size[0]
                             : right < 0 ? size[1]
                                         : whole->size),
                       left < 0    ? part[0]
                       : right < 0 ? part[1]
                                   : whole->data);
    merges_add(&bpe->merges, left, right, (int32_t)rank, id);
    bpe->crosses_marks |= size[1] >= 3 && memcmp(part[1], MARK, 3) == 0 && !ends_in_mark(part[0], size[0]);
    return true;
}

static bool read_merges(Bpe *bpe, const json_t *list, Err *err)
{
    if (!json_is_array(list) || json_array_size(list) > INT32_MAX)
        return err_set(err, ERR_INPUT, "the model has no list 'merges'");
    merges_init(&bpe->merges, json_array_size(list));
    Text whole = { 0 };
    bool ok = true;
    size_t rank = 0;
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const json_t *spec = json_array_get(list, i);
        if (json_is_string(spec) && text_starts(json_string_value(spec), "#version"))
            continue;
        ok = read_merge(bpe, spec, rank++, &whole, err);
    }
    text_release(&whole);
    return ok;
}

static void find_fallback(Bpe *bpe)
{
    bpe->whole_bytes = true;
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof(name), "<0x%02X>", (unsigned)byte);
        bpe->fallback[byte] = vocab_find(bpe->vocab, name, strlen(name));
        bpe->whole_bytes &= bpe->fallback[byte] >= 0;
    }
}

static bool read_settings(Bpe *bpe, const json_t *model, Vocab *vocab, Err *err)
{
    const char *unknown = json_get_string(model, "unk_token", NULL, err);
    text_adds(&bpe->prefix, json_get_string(model, "continuing_subword_prefix", "", err));
    text_adds(&bpe->suffix, json_get_string(model, "end_of_word_suffix", "", err));
    bpe->fuse_unknown = json_get_bool(model, "fuse_unk", false, err);
    bpe->byte_fallback = json_get_bool(model, "byte_fallback", false, err);
    bpe->ignore_merges = json_get_bool(model, "ignore_merges", false, err);
    if (json_get_real(model, "dropout", 0, err) > 0)
        return err_set(err, ERR_INPUT, "BPE with 'dropout' is not supported");
    if (err->kind != ERR_NONE || !vocab_read(vocab, json_object_get(model, "vocab"), err))
        return false;
    bpe->unknown = unknown ? vocab_find(vocab, unknown, strlen(unknown)) : -1;
    if (unknown && bpe->unknown < 0)
        return err_set(err, ERR_INPUT, "the unk_token '%s' is not in the vocabulary", unknown);
    find_fallback(bpe);
    return read_merges(bpe, json_object_get(model, "merges"), err);
}

static void *bpe_read(const json_t *model, Vocab *vocab, Err *err)
{
    Bpe *bpe = xcalloc(1, sizeof(*bpe));
    bpe->vocab = vocab;
    if (!read_settings(bpe, model, vocab, err)) {
        bpe_free(bpe);
        return NULL;
    }
    return bpe;
}

static bool bpe_cuts_at_marks(const void *state)
{
    const Bpe *bpe = state;
    return !bpe->crosses_marks && !bpe->ignore_merges && bpe->prefix.size == 0 && bpe->suffix.size == 0 &&
           bpe->unknown >= 0 && vocab_find(bpe->vocab, MARK, 3) >= 0;
}

static bool bpe_take_bytes(void *state)
{
    Bpe *bpe = state;
    if (bpe->prefix.size > 0 || bpe->suffix.size > 0)
        return false;
    for (int byte = 0; byte < 256; byte++) {
        char letter[4];
        const size_t n = unicode_encode(letter, byte_level_char((unsigned char)byte));
        bpe->byte_ids[byte] = vocab_find(bpe->vocab, letter, n);
        if (bpe->byte_ids[byte] < 0)
            return false;
    }
    bpe->raw = true;
    Text bytes = { 0 };
    for (int32_t id = 0; bpe->ignore_merges && id <= bpe->vocab->largest; id++) {
        const char *token = vocab_token(bpe->vocab, id);
        text_clear(&bytes);
        if (token && byte_level_decode(token, strlen(token), &bytes))
            vocab_add(&bpe->bytes, bytes.data, bytes.size, id);
    }
    text_release(&bytes);
    return true;
}

/* ---- encoding -------------------------------------------------------------- */

typedef struct Symbols {
    Symbol *data;
    size_t count;
    int32_t unknown_size; /* of unknown characters not yet added; 0: none */
} Symbols;

static void add(Symbols *symbols, int32_t id, size_t size)
{
    symbols->data[symbols->count++] = (Symbol){ .id = id, .size = (uint32_t)size };
}

static void flush_unknown(const Bpe *bpe, Symbols *symbols)
{
    if (symbols->unknown_size > 0)
        add(symbols, bpe->unknown, (size_t)symbols->unknown_size);
    symbols->unknown_size = 0;
}

/* A character of `size` bytes, spelled text[0, n) with prefix and suffix. */
static void add_character(const Bpe *bpe, Symbols *symbols, const char *text, size_t n, size_t size)
{
    const int32_t id = vocab_find(bpe->vocab, text, n);
    if (id >= 0) {
        flush_unknown(bpe, symbols);
        add(symbols, id, size);
        return;
    }
    bool spelled = bpe->byte_fallback;
    for (size_t i = 0; spelled && i < n; i++)
        spelled = bpe->fallback[(unsigned char)text[i]] >= 0;
    if (spelled) { /* before an unknown character that waits, as tokenizers does it */
        for (size_t i = 0; i < n; i++)
            add(symbols, bpe->fallback[(unsigned char)text[i]], 1);
    } else if (bpe->unknown >= 0) {
        if (!bpe->fuse_unknown)
            flush_unknown(bpe, symbols);
        symbols->unknown_size += (int32_t)size;
    }
}

static void add_spelled(const Bpe *bpe, Symbols *symbols, const char *piece, size_t at, size_t end, bool last)
{
    Text text = { 0 };
    if (at > 0)
        text_add(&text, bpe->prefix.data, bpe->prefix.size);
    text_add(&text, piece + at, end - at);
    if (last)
        text_add(&text, bpe->suffix.data, bpe->suffix.size);
    add_character(bpe, symbols, text.data, text.size, end - at);
    text_release(&text);
}

static Symbols characters(const Bpe *bpe, const char *piece, size_t n, Scratch *scratch)
{
    const bool plain = bpe->prefix.size == 0 && bpe->suffix.size == 0;
    /* each byte may be a symbol, each character's prefix and suffix too */
    const size_t most = n * (1 + bpe->prefix.size) + bpe->suffix.size + 1;
    Symbols symbols = { model_room(&scratch->model, most * sizeof(Symbol)), 0, 0 };
    for (size_t at = 0, end = 0; at < n; at = end) {
        unicode_next(piece, &end);
        if (plain)
            add_character(bpe, &symbols, piece + at, end - at, end - at);
        else
            add_spelled(bpe, &symbols, piece, at, end, end == n);
    }
    flush_unknown(bpe, &symbols);
    return symbols;
}

static Symbols bytes(const Bpe *bpe, const char *piece, size_t n, Scratch *scratch)
{
    Symbols symbols = { model_room(&scratch->model, n * sizeof(Symbol)), n, 0 };
    for (size_t i = 0; i < n; i++)
        symbols.data[i] = (Symbol){ .id = bpe->byte_ids[(unsigned char)piece[i]], .size = 1 };
    return symbols;
}

static void bpe_encode(const void *state, const char *piece, size_t n, Scratch *scratch, Tokens *out)
{
    const Bpe *bpe = state;
    if (bpe->ignore_merges) {
        const int32_t id = vocab_find(bpe->raw ? &bpe->bytes : bpe->vocab, piece, n);
        if (id >= 0) {
            tokens_add(out, id, 0, n);
            return;
        }
    }
    Symbols symbols = bpe->raw ? bytes(bpe, piece, n, scratch) : characters(bpe, piece, n, scratch);
    const size_t count = merges_apply(&bpe->merges, symbols.data, symbols.count, scratch);
    for (size_t i = 0, at = 0; i < count; i++) {
        const size_t end = at + symbols.data[i].size;
        tokens_add(out, symbols.data[i].id, at < n ? at : n, end < n ? end : n);
        at = end;
    }
}

const TokenModelKind bpe_model = {
    .name = "BPE",
    .read = bpe_read,
    .encode = bpe_encode,
    .free = bpe_free,
    .take_bytes = bpe_take_bytes,
    .cuts_at_marks = bpe_cuts_at_marks,
};
