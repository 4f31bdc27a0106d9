#include "worker/tokenizer/added_tokens.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading --------------------------------------------------------------- */

static AddedToken *add(AddedSet *set, AddedToken token)
{
    set->tokens = xrealloc(set->tokens, (set->count + 1) * sizeof(set->tokens[0]));
    set->tokens[set->count] = token;
    return &set->tokens[set->count++];
}

static bool is_content(const AddedToken *token, const char *content, size_t n)
{
    return token->content.size == n && memcmp(token->content.data, content, n) == 0;
}

/* The next free id is counted from the number of tokens, whatever their ids. */
static int32_t id_for(const AddedTokens *added, const Vocab *vocab, const char *content, size_t n)
{
    const int32_t before = vocab_find(&added->ids, content, n);
    const int32_t known = before >= 0 ? before : vocab_find(vocab, content, n);
    const int64_t size = (int64_t)vocab->count;
    if (known >= 0)
        return known;
    return (int32_t)(added->ids.count > 0 && added->ids.largest >= size ? added->ids.largest + 1 : size);
}

void added_tokens_add(AddedTokens *added, const char *content, AddedToken token, const Vocab *vocab)
{
    const size_t n = strlen(content);
    if (n == 0)
        return;
    token.id = id_for(added, vocab, content, n);
    token.content = (Text){ 0 };
    if (token.special)
        vocab_add(&added->specials, content, n, token.id);
    AddedToken *place = NULL;
    for (size_t i = 0; added->ids.count > 0 && token.id <= added->ids.largest && i < added->all.count; i++)
        if (added->all.tokens[i].id == token.id)
            place = &added->all.tokens[i];
    vocab_add(&added->ids, content, n, token.id);
    if (!place) {
        place = add(&added->all, token);
    } else if (is_content(place, content, n)) {
        token.content = place->content;
        *place = token;
        return;
    } else {
        text_release(&place->content);
        *place = token;
    }
    text_add(&place->content, content, n);
}

bool added_token_read(AddedToken *token, const char **content, const json_t *spec, bool special, Err *err)
{
    *token = (AddedToken){ 0 };
    *content = json_is_string(spec) ? json_string_value(spec) : json_get_string(spec, "content", NULL, err);
    if (!*content)
        return err->kind != ERR_NONE ? false : err_set(err, ERR_INPUT, "an added token has no 'content'");
    token->single_word = json_get_bool(spec, "single_word", false, err);
    token->lstrip = json_get_bool(spec, "lstrip", false, err);
    token->rstrip = json_get_bool(spec, "rstrip", false, err);
    token->special = json_get_bool(spec, "special", special, err);
    token->normalized = json_get_bool(spec, "normalized", !token->special, err);
    return err->kind == ERR_NONE;
}

static bool check_id(const AddedTokens *added, const Vocab *vocab, const char *content, int64_t id, Err *err)
{
    const int32_t known = vocab_find(vocab, content, strlen(content));
    const int32_t wanted = id_for(added, vocab, content, strlen(content));
    if (id == wanted)
        return true;
    err_set(err, ERR_INPUT, "added token '%s' has id %lld, but %s %lld", content, (long long)id,
            known >= 0 ? "in the vocabulary it has" : "the next free one is", (long long)wanted);
    return err_hint(err, "tokenizers would give it id %lld", (long long)wanted);
}

bool added_tokens_read(AddedTokens *added, const json_t *list, const Vocab *vocab, Err *err)
{
    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(err, ERR_INPUT, "'added_tokens' is not a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *spec = json_array_get(list, i);
        AddedToken token;
        const char *content;
        if (!added_token_read(&token, &content, spec, false, err) ||
            !check_id(added, vocab, content, json_get_int(spec, "id", -1, err), err) || err->kind != ERR_NONE)
            return false;
        added_tokens_add(added, content, token, vocab);
    }
    return true;
}

/* ---- what is looked for ------------------------------------------------------ */

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

/* The token in its normal form, where it is looked for in the normal form of texts. */
static bool look_for(AddedTokens *added, const AddedToken *token, const Normalizer *normalizer, bool split_specials,
                     Err *err)
{
    Scratch scratch = { 0 };
    Aligned written = { 0 };
    AddedToken found = *token;
    aligned_lend(&written, token->content.data, token->content.size, 0);
    const Aligned *normal = token->normalized ? normalizer_run(normalizer, &written, &scratch) : &written;
    const size_t n = normal->size;
    found.content = (Text){ 0 };
    text_add(&found.content, normal->data, n);
    vocab_add_name(&added->shown, normal->data, n, token->id);
    scratch_release(&scratch);
    aligned_release(&written);
    const char *content = token->content.data;
    const bool split = split_specials && vocab_find(&added->specials, content, token->content.size) >= 0;
    if (split || n == 0)
        text_release(&found.content);
    else
        add(token->normalized ? &added->normalized : &added->raw, found);
    return n > 0 || err_set(err, ERR_INPUT, "added token '%s' has nothing left when normalized", content);
}

bool added_tokens_finish(AddedTokens *added, const Normalizer *normalizer, bool split_specials, Err *err)
{
    for (size_t i = 0; i < added->all.count; i++)
        if (!look_for(added, &added->all.tokens[i], normalizer, split_specials, err))
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
    set_release(&added->all);
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
