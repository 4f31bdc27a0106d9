/* WordPiece: the longest token that starts the word, then the longest "##" token
 * that goes on, to its end; a word with a part that is no token is [UNK]. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/token_model.h"

#include <stdlib.h>
#include <string.h>

/* Tokens have at most so many bytes that count; hashes of all beginnings of a
 * word lie on the stack. Longer tokens are refused. */
enum { LONGEST_TOKEN = 1024 };

typedef struct WordPiece {
    const Vocab *whole; /* borrowed: all tokens */
    Vocab parts; /* those that go on a word, without their prefix */
    int64_t most_chars;
    int32_t unknown;
} WordPiece;

static void wordpiece_free(void *state)
{
    WordPiece *wordpiece = state;
    if (wordpiece)
        vocab_release(&wordpiece->parts);
    free(wordpiece);
}

static bool read_settings(WordPiece *wordpiece, const json_t *model, Vocab *vocab, Err *err)
{
    const char *unknown = json_get_string(model, "unk_token", "[UNK]", err);
    const char *prefix = json_get_string(model, "continuing_subword_prefix", "##", err);
    wordpiece->most_chars = json_get_int(model, "max_input_chars_per_word", 100, err);
    if (err->kind != ERR_NONE)
        return false;
    const json_t *tokens = json_object_get(model, "vocab");
    if (!vocab_read(vocab, tokens, err))
        return false;
    if (vocab->longest > LONGEST_TOKEN)
        return err_set(err, ERR_INPUT, "a token of %zu bytes is too long (at most %d)", vocab->longest, LONGEST_TOKEN);
    wordpiece->unknown = vocab_find(vocab, unknown, strlen(unknown));
    if (wordpiece->unknown < 0)
        return err_set(err, ERR_INPUT, "the unk_token '%s' is not in the vocabulary", unknown);
    const char *token;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)tokens, token, id)
    {
        if (text_starts(token, prefix)) {
            const char *part = token + strlen(prefix);
            vocab_add(&wordpiece->parts, part, strlen(part), (int32_t)json_integer_value(id));
        }
    }
    return true;
}

static void *wordpiece_read(const json_t *model, Vocab *vocab, Err *err)
{
    WordPiece *wordpiece = xcalloc(1, sizeof(*wordpiece));
    wordpiece->whole = vocab;
    if (!read_settings(wordpiece, model, vocab, err)) {
        wordpiece_free(wordpiece);
        return NULL;
    }
    return wordpiece;
}

/* The longest token of `vocab` that starts text[0, n): its id, and its size to *size. */
static int32_t longest(const Vocab *vocab, const char *text, size_t n, size_t *size)
{
    uint64_t hashes[LONGEST_TOKEN + 1];
    const size_t most = n < vocab->longest ? n : vocab->longest;
    hashes[0] = VOCAB_HASH_START;
    for (size_t i = 0; i < most; i++)
        hashes[i + 1] = vocab_hash_more(hashes[i], text[i]);
    for (size_t k = most; k > 0; k--) {
        const int32_t id = vocab_find_hashed(vocab, hashes[k], text, k);
        if (id >= 0) {
            *size = k;
            return id;
        }
    }
    return -1;
}

static bool too_long(const WordPiece *wordpiece, const char *word, size_t n)
{
    if ((int64_t)n <= wordpiece->most_chars)
        return false;
    int64_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)word[i] & 0xC0) != 0x80;
    return chars > wordpiece->most_chars;
}

static void wordpiece_encode(const void *state, const char *word, size_t n, Scratch *scratch, Tokens *out)
{
    (void)scratch;
    const WordPiece *wordpiece = state;
    const int64_t before = out->count;
    size_t at = 0;
    while (at < n && !(at == 0 && too_long(wordpiece, word, n))) {
        size_t size = 0;
        const Vocab *vocab = at == 0 ? wordpiece->whole : &wordpiece->parts;
        const int32_t id = longest(vocab, word + at, n - at, &size);
        if (id < 0)
            break;
        tokens_add(out, id, at, at + size);
        at += size;
    }
    if (at < n) {
        out->count = before;
        tokens_add(out, wordpiece->unknown, 0, n);
    }
}

const TokenModelKind wordpiece_model = {
    .name = "WordPiece",
    .read = wordpiece_read,
    .encode = wordpiece_encode,
    .free = wordpiece_free,
};
