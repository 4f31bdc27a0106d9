/* WordLevel: a piece is a token, or unknown. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/token_model.h"

#include <stdlib.h>
#include <string.h>

typedef struct WordLevel {
    const Vocab *vocab; /* borrowed */
    int32_t unknown;
} WordLevel;

static void *wordlevel_read(const json_t *model, Vocab *vocab, Err *err)
{
    const char *unknown = json_get_string(model, "unk_token", "<unk>", err);
    if (err->kind != ERR_NONE || !vocab_read(vocab, json_object_get(model, "vocab"), err))
        return NULL;
    const int32_t id = vocab_find(vocab, unknown, strlen(unknown));
    if (id < 0) {
        err_set(err, ERR_INPUT, "the unk_token '%s' is not in the vocabulary", unknown);
        return NULL;
    }
    WordLevel *level = xcalloc(1, sizeof(*level));
    *level = (WordLevel){ vocab, id };
    return level;
}

static void wordlevel_encode(const void *state, const char *piece, size_t n, Scratch *scratch, Tokens *out)
{
    (void)scratch;
    const WordLevel *level = state;
    const int32_t id = vocab_find(level->vocab, piece, n);
    tokens_add(out, id >= 0 ? id : level->unknown, 0, n);
}

const TokenModelKind wordlevel_model = {
    .name = "WordLevel",
    .read = wordlevel_read,
    .encode = wordlevel_encode,
    .free = free,
};
