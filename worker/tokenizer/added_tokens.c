#include "worker/tokenizer/added_tokens.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading --------------------------------------------------------------- */

static void add(AddedSet *set, AddedToken token)
{
    set->tokens = xrealloc(set->tokens, (set->count + 1) * sizeof(set->tokens[0]));
    set->tokens[set->count++] = token;
}

static bool check_id(const AddedTokens *added, const Vocab *vocab, const char *content, int64_t id,
                     Err *err)
{
    const int32_t known = vocab_find(vocab, content, strlen(content));
    const int64_t largest = added->ids.count > 0 && added->ids.largest > vocab->largest
                                ? added->ids.largest
                                : vocab->largest;
    const int64_t wanted = known >= 0 ? known : largest + 1;
    if (id == wanted)
        return true;
    err_set(err, ERR_INPUT, "added token '%s' has id %lld, but %s %lld", content, (long long)id,
            known >= 0 ? "in the vocabulary it has" : "the next free one is", (long long)wanted);
    return err_hint(err, "tokenizers would give it id %lld", (long long)wanted);
}

static bool read_token(AddedTokens *added, const json_t *spec, const Vocab *vocab,
                       const Normalizer *normalizer, Err *err)
{
    AddedToken token = { 0 };
    const char *content = json_get_string(spec, "content", NULL, err);
    const int64_t id = json_get_int(spec, "id", -1, err);
    token.single_word = json_get_bool(spec, "single_word", false, err);
    token.lstrip = json_get_bool(spec, "lstrip", false, err);
    token.rstrip = json_get_bool(spec, "rstrip", false, err);
    const bool special = json_get_bool(spec, "special", false, err);
    const bool normalized = json_get_bool(spec, "normalized", !special, err);
    if (err->kind != ERR_NONE)
        return false;
    if (!content || content[0] == '\0')
        return err_set(err, ERR_INPUT, "an added token has no 'content'");
    if (!check_id(added, vocab, content, id, err))
        return false;
    token.id = (int32_t)id;
    if (!vocab_add(&added->ids, content, strlen(content), token.id))
        return err_set(err, ERR_INPUT, "added token '%s' is listed twice", content);

    if (special)
        vocab_add(&added->specials, content, strlen(content), token.id);

    Scratch scratch = { 0 };
    Aligned written = { 0 };
    aligned_lend(&written, content, strlen(content), 0);
    const Aligned *looked_for =
        normalized ? normalizer_run(normalizer, &written, &scratch) : &written;
    const size_t n = looked_for->size;
    text_add(&token.content, looked_for->data, n);
    vocab_add_name(&added->shown, looked_for->data, n, token.id);
    scratch_release(&scratch);
    aligned_release(&written);
    add(normalized ? &added->normalized : &added->raw, token);
    return n > 0 ||
           err_set(err, ERR_INPUT, "added token '%s' has nothing left when normalized", content);
}

static int by_first_byte(const void *left, const void *right)
{
    const AddedToken *a = left, *b = right;
    const int x = (unsigned char)a->content.data[0], y = (unsigned char)b->content.data[0];
    if (x != y)
        return x - y;
    if (a->content.size != b->content.size)
        return a->content.size < b->content.size ? 1 : -1;
    return a->id - b->id;
}

static void sort(AddedSet *set)
{
    if (set->count == 0)
        return;
    qsort(set->tokens, set->count, sizeof(set->tokens[0]), by_first_byte);
    size_t i = 0;
    for (int byte = 0; byte <= 256; byte++) {
        while (i < set->count && (unsigned char)set->tokens[i].content.data[0] < byte)
            i++;
        set->first[byte] = i;
    }
}

bool added_tokens_read(AddedTokens *added, const json_t *list, const Vocab *vocab,
                       const Normalizer *normalizer, Err *err)
{
    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(err, ERR_INPUT, "'added_tokens' is not a list");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_token(added, json_array_get(list, i), vocab, normalizer, err))
            return false;
    sort(&added->raw);
    sort(&added->normalized);
    return true;
}

static void set_release(AddedSet *set)
{
    for (size_t i = 0; i < set->count; i++)
        text_release(&set->tokens[i].content);
    free(set->tokens);
    *set = (AddedSet){ 0 };
}

void added_tokens_release(AddedTokens *added)
{
    set_release(&added->raw);
    set_release(&added->normalized);
    vocab_release(&added->ids);
    vocab_release(&added->specials);
    vocab_release(&added->shown);
}

/* ---- finding --------------------------------------------------------------- */

static const AddedToken *find(const AddedSet *set, const char *text, size_t n, size_t *at)
{
    for (size_t i = *at; i < n; i++) {
        const unsigned char byte = (unsigned char)text[i];
        for (size_t k = set->first[byte]; k < set->first[byte + 1]; k++) {
            const Text *content = &set->tokens[k].content;
            if (content->size <= n - i && memcmp(text + i, content->data, content->size) == 0) {
                *at = i;
                return &set->tokens[k];
            }
        }
    }
    return NULL;
}

static bool is_single_word(const char *text, size_t n, size_t start, size_t end)
{
    size_t before = start > 0 ? unicode_before(text, start) : 0, behind = end;
    return !(start > 0 && unicode_is_word(unicode_next(text, &before))) &&
           !(end < n && unicode_is_word(unicode_next(text, &behind)));
}

/* Spaces before `start`, but not those that the match before has taken. */
static size_t strip_left(const char *text, size_t start, size_t least)
{
    size_t stripped = start;
    while (stripped > 0) {
        const size_t before = unicode_before(text, stripped);
        size_t at = before;
        if (!unicode_is_space(unicode_next(text, &at)))
            break;
        stripped = before;
    }
    return stripped > least ? stripped : least;
}

static size_t strip_right(const char *text, size_t n, size_t end)
{
    for (size_t at = end; at < n && unicode_is_space(unicode_next(text, &at));)
        end = at;
    return end;
}

bool added_tokens_next(const AddedSet *set, const char *text, size_t n, AddedMatch *match)
{
    if (set->count == 0)
        return false;
    size_t at = match->search;
    const AddedToken *token;
    while ((token = find(set, text, n, &at))) {
        const size_t start = at, end = at + token->content.size;
        at = end;
        if (token->single_word && !is_single_word(text, n, start, end))
            continue;
        /* tokenizers goes on behind the token, not behind the spaces it took in. */
        match->search = end;
        match->start = token->lstrip ? strip_left(text, start, match->end) : start;
        match->end = token->rstrip ? strip_right(text, n, end) : end;
        match->id = token->id;
        return true;
    }
    return false;
}
