/* Which tokens of a text are taken whole, and what they are called: tokenizer_config.json with
 * special_tokens_map.json and added_tokens.json, read as Transformers 5 does (PreTrainedTokenizerBase._from_pretrained
 * and TokenizersBackend.__init__). In this order: what tokenizer.json adds, unless the class begins anew;
 * added_tokens_decoder by its ids, which say no more than the order; the named tokens; additional_special_tokens. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/pipeline.h"

#include <stdlib.h>
#include <string.h>

/* The names that every class knows, in their order. */
static const char *const standard[] = { "bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token" };

/* A token of added_tokens_decoder and the like. */
typedef struct Listed {
    int64_t id;
    const char *content; /* borrowed */
    AddedToken token;
} Listed;

typedef struct Reading {
    Tokenizer *tokenizer;
    const TokenizerFolder *files;
    const TokenizerClass *class; /* NULL: none */
    Listed *listed; /* [count] by id, owned */
    size_t count;
    size_t before; /* of tokenizer->added.all, when names are begun with: names change nothing of these */
} Reading;

static bool is_standard(const char *name)
{
    for (size_t i = 0; i < LENGTH(standard); i++)
        if (strcmp(standard[i], name) == 0)
            return true;
    return false;
}

/* Special tokens besides the named ones: a list, or names with tokens. Those of special_tokens_map.json keep the
 * older name, and count where there are no others, not even an empty list. */
static const json_t *extra_tokens(const Reading *r)
{
    const json_t *extra = json_object_get(r->files->config, "extra_special_tokens");
    return extra ? extra : json_object_get(r->files->config, "additional_special_tokens");
}

/* ---- added_tokens_decoder, added_tokens.json, tokenizer.json's added_tokens ---------------- */

static Listed *listed_as(const Reading *r, const char *content)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->listed[i].content, content) == 0)
            return &r->listed[i];
    return NULL;
}

/* One more, or instead of one with this id. */
static void list(Reading *r, Listed one)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->listed[i].id == one.id) {
            r->listed[i] = one;
            return;
        }
    r->listed = xrealloc(r->listed, (r->count + 1) * sizeof r->listed[0]);
    r->listed[r->count++] = one;
}

static bool list_decoder(Reading *r, const json_t *decoder, Err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)decoder, key, value)
    {
        char *rest = NULL;
        Listed one = { .id = strtoll(key, &rest, 10) };
        if (*rest != '\0' || rest == key)
            return err_set(err, ERR_INPUT, "'added_tokens_decoder' has an id that is no number: '%s'", key);
        if (!json_is_object(value))
            return err_set(err, ERR_INPUT, "'added_tokens_decoder' says nothing of the token with id %s", key);
        if (!added_token_read(&one.token, &one.content, value, false, err))
            return false;
        list(r, one);
    }
    return true;
}

/* The text of a token's setting; NULL: it has none. */
static const char *content_of(const json_t *value)
{
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static bool is_content(const char *content, const char *other)
{
    return other && strcmp(content, other) == 0;
}

/* A token of added_tokens.json is special if one of these is it; tokenizer_config.json's dictionaries, which say their
 * "__type", are not looked into. */
static bool is_setting_of(const json_t *value, const char *content)
{
    return !json_object_get(value, "__type") && is_content(content, content_of(value));
}

static bool is_special(const Reading *r, const char *content)
{
    const json_t *extra = json_object_get(r->files->config, "extra_special_tokens");
    for (size_t i = 0; i < LENGTH(standard); i++)
        if (is_setting_of(json_object_get(r->files->config, standard[i]), content))
            return true;
    for (size_t i = 0; i < json_array_size(extra); i++)
        if (is_setting_of(json_array_get(extra, i), content))
            return true;
    return false;
}

static bool list_added(Reading *r, Err *err)
{
    const char *content;
    json_t *id;
    json_object_foreach(r->files->added, content, id)
    {
        const bool special = is_special(r, content);
        if (!json_is_integer(id))
            return err_set(err, ERR_INPUT, "the id of token '%s' in added_tokens.json is not a whole number", content);
        list(r, (Listed){ json_integer_value(id), content, { .special = special, .normalized = !special } });
    }
    return true;
}

static bool list_from_file(Reading *r, Err *err)
{
    const json_t *all = json_object_get(r->files->whole, "added_tokens");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *spec = json_array_get(all, i);
        Listed one = { .id = json_get_int(spec, "id", -1, err) };
        if (!added_token_read(&one.token, &one.content, spec, false, err))
            return false;
        list(r, one);
    }
    return err->kind == ERR_NONE;
}

static int by_id(const void *left, const void *right)
{
    const Listed *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Only where tokenizer_config.json has no added_tokens_decoder, the older files are asked. */
static bool read_listed(Reading *r, Err *err)
{
    const json_t *decoder = json_object_get(r->files->config, "added_tokens_decoder");
    bool ok;
    if (decoder) {
        ok = list_decoder(r, decoder, err);
    } else {
        ok = list_added(r, err) && list_from_file(r, err);
    }
    if (r->count > 0)
        qsort(r->listed, r->count, sizeof r->listed[0], by_id);
    return ok;
}

/* ---- names --------------------------------------------------------------------------------- */

static void add_name(Tokenizer *tokenizer, const char *name, int32_t id)
{
    tokenizer->named = xrealloc(tokenizer->named, (tokenizer->named_count + 1) * sizeof(tokenizer->named[0]));
    tokenizer->named[tokenizer->named_count++] = (NamedToken){ xstrdup(name), id };
}

static bool is_added_before(const Reading *r, const char *content)
{
    const AddedSet *all = &r->tokenizer->added.all;
    for (size_t i = 0; i < r->before; i++)
        if (strcmp(all->tokens[i].content.data, content) == 0)
            return true;
    return false;
}

/* A special token that is found in texts, unless it was already; name NULL: it has none. */
static bool add_special(Reading *r, const char *name, const json_t *value, Err *err)
{
    Tokenizer *t = r->tokenizer;
    AddedToken token;
    const char *content;
    if (!added_token_read(&token, &content, value, json_is_string(value), err))
        return false;
    const Listed *known = listed_as(r, content);
    if (known && name)
        token = known->token;
    token.special = token.special || name;
    if (!is_added_before(r, content))
        added_tokens_add(&t->added, content, token, &t->model.vocab);
    if (name)
        add_name(t, name, pipeline_id(t, content));
    return true;
}

static const char *class_default(const Reading *r, const char *name)
{
    for (const ClassToken *one = r->class ? r->class->tokens : NULL; one && one->key; one++)
        if (strcmp(one->key, name) == 0)
            return one->token;
    return NULL;
}

/* What the settings say, else the class; a null takes the class's away. */
static bool add_named(Reading *r, const char *name, Err *err)
{
    const json_t *value = json_object_get(r->files->config, name);
    const char *fallback = class_default(r, name);
    json_t *own = value || !fallback ? NULL : json_string(fallback);
    bool ok = true;
    if (own || (value && !json_is_null(value)))
        ok = add_special(r, name, own ? own : value, err) || err_at(err, "%s", name);
    json_decref(own);
    return ok;
}

/* "image_token" and the like, names of one model alone: those with flags first, then those without. */
static bool add_own_names(Reading *r, bool flags, Err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(r->files->config, name, value)
    {
        const bool is_name = text_ends(name, "_token") && !is_standard(name) && !class_default(r, name);
        if (is_name && content_of(value) && json_is_object(value) == flags && !add_special(r, name, value, err))
            return err_at(err, "%s", name);
    }
    return true;
}

/* Those of extra_special_tokens when it gives names, and those that the class has. */
static bool add_other_names(Reading *r, Err *err)
{
    const char *name;
    json_t *value;
    for (const ClassToken *one = r->class ? r->class->tokens : NULL; one && one->key; one++)
        if (!is_standard(one->key) && !add_named(r, one->key, err))
            return false;
    json_object_foreach((json_t *)(uintptr_t)extra_tokens(r), name, value)
    {
        if (!add_special(r, name, value, err))
            return err_at(err, "extra_special_tokens: %s", name);
    }
    return true;
}

/* Any name is for this token. */
static bool has_name(const Reading *r, const char *content)
{
    const json_t *const all[] = { r->files->config, extra_tokens(r) };
    for (const ClassToken *one = r->class ? r->class->tokens : NULL; one && one->key; one++)
        if (!json_object_get(r->files->config, one->key) && is_content(content, one->token))
            return true;
    for (size_t i = 0; i < LENGTH(all); i++) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)all[i], name, value)
        {
            if ((i == 1 || text_ends(name, "_token")) && is_content(content, content_of(value)))
                return true;
        }
    }
    return false;
}

/* Also those that tokenizer.json adds, by what the list says of them; one that has a name is special, whatever it says. */
static void add_listed(Reading *r)
{
    Tokenizer *t = r->tokenizer;
    for (size_t i = 0; i < r->count; i++) {
        Listed *one = &r->listed[i];
        one->token.special = one->token.special || has_name(r, one->content);
        added_tokens_add(&t->added, one->content, one->token, &t->model.vocab);
    }
}

static bool add_all(Reading *r, Err *err)
{
    Tokenizer *t = r->tokenizer;
    const json_t *extra = extra_tokens(r);
    add_listed(r);
    r->before = t->added.all.count;
    for (size_t i = 0; i < LENGTH(standard); i++)
        if (!add_named(r, standard[i], err))
            return false;
    if (!add_own_names(r, true, err) || !add_own_names(r, false, err) || !add_other_names(r, err))
        return false;
    for (size_t i = 0; i < json_array_size(extra); i++)
        if (!add_special(r, NULL, json_array_get(extra, i), err))
            return err_at(err, "additional_special_tokens");
    return true;
}

/* Qwen2Tokenizer adds all of them once more, without lstrip and the like. */
static void make_plain(const Reading *r)
{
    Tokenizer *t = r->tokenizer;
    const AddedToken plain = { .special = true };
    const json_t *extra = extra_tokens(r);
    for (size_t i = 0; i < t->named_count; i++)
        added_tokens_add(&t->added, vocab_token(&t->added.ids, t->named[i].id), plain, &t->model.vocab);
    for (size_t i = 0; i < json_array_size(extra); i++)
        added_tokens_add(&t->added, content_of(json_array_get(extra, i)), plain, &t->model.vocab);
}

bool special_tokens_read(Tokenizer *tokenizer, const TokenizerFolder *files, const TokenizerClass *class, Err *err)
{
    Reading r = { .tokenizer = tokenizer, .files = files, .class = class };
    const bool split = json_get_bool(files->config, "split_special_tokens", false, err);
    bool ok = err->kind == ERR_NONE && read_listed(&r, err) && add_all(&r, err);
    if (ok && class && class->plain_specials)
        make_plain(&r);
    ok = ok && added_tokens_finish(&tokenizer->added, &tokenizer->normalizer, split, err);
    free(r.listed);
    return ok;
}

void special_tokens_release(Tokenizer *tokenizer)
{
    for (size_t i = 0; i < tokenizer->named_count; i++)
        free(tokenizer->named[i].name);
    free(tokenizer->named);
    tokenizer->named = NULL;
    tokenizer->named_count = 0;
}
