#include "worker/tokenizer/postprocess.h"

#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* What a special token's name and id are checked against. */
typedef struct KnownTokens {
    const Vocab *vocab, *added;
} KnownTokens;

static void add_part(Template *template, int32_t what, int32_t type)
{
    template->parts = xrealloc(template->parts, (size_t)(template->count + 1) * sizeof(template->parts[0]));
    template->parts[template->count++] = (TemplatePart){ what, type };
    template->specials += what >= 0;
}

static bool check_token(const KnownTokens *known, const char *token, json_int_t id, Err *err)
{
    const size_t n = strlen(token);
    const int32_t added = vocab_find(known->added, token, n);
    const int32_t have = added >= 0 ? added : vocab_find(known->vocab, token, n);
    if (have < 0)
        return err_set(err, ERR_INPUT, "the post_processor's special token '%s' is not in the vocabulary", token);
    if (have != id)
        return err_set(err, ERR_INPUT, "the post_processor's special token '%s' has id %lld, but in the vocabulary %d",
                       token, (long long)id, have);
    return true;
}

/* ---- TemplateProcessing ---------------------------------------------------- */

static bool read_special(Template *template, const json_t *special, const json_t *all, const KnownTokens *known,
                         Err *err)
{
    const char *name = json_get_string(special, "id", "", err);
    const int32_t type = (int32_t)json_get_int(special, "type_id", 0, err);
    const json_t *entry = json_object_get(all, name);
    const json_t *ids = json_object_get(entry, "ids"), *tokens = json_object_get(entry, "tokens");
    if (err->kind != ERR_NONE)
        return false;
    if (!json_is_array(ids) || json_array_size(ids) == 0 || json_array_size(ids) != json_array_size(tokens))
        return err_set(err, ERR_INPUT, "special token '%s' of the template is not in 'special_tokens'", name);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i), *token = json_array_get(tokens, i);
        if (!json_is_integer(id) || !json_is_string(token))
            return err_set(err, ERR_INPUT, "special token '%s' of the template is malformed", name);
        if (!check_token(known, json_string_value(token), json_integer_value(id), err))
            return false;
        add_part(template, (int32_t)json_integer_value(id), type);
    }
    return true;
}

static bool read_sequence(Template *template, const json_t *sequence, Err *err)
{
    const char *name = json_get_string(sequence, "id", "", err);
    const int32_t type = (int32_t)json_get_int(sequence, "type_id", 0, err);
    if (err->kind != ERR_NONE)
        return false;
    if (strcmp(name, "A") != 0 && strcmp(name, "B") != 0)
        return err_set(err, ERR_INPUT, "sequence '%s' of the template is neither 'A' nor 'B'", name);
    add_part(template, name[0] == 'A' ? TEMPLATE_A : TEMPLATE_B, type);
    return true;
}

static bool read_parts(Template *template, const json_t *parts, const json_t *specials, const KnownTokens *known,
                       Err *err)
{
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const json_t *special = json_object_get(part, "SpecialToken");
        const json_t *sequence = json_object_get(part, "Sequence");
        if (!special && !sequence)
            return err_set(err, ERR_INPUT, "a part of the template is neither 'SpecialToken' nor 'Sequence'");
        if (special ? !read_special(template, special, specials, known, err) : !read_sequence(template, sequence, err))
            return false;
    }
    return true;
}

static int times(const Template *template, int32_t what)
{
    int found = 0;
    for (int64_t i = 0; i < template->count; i++)
        found += template->parts[i].what == what;
    return found;
}

static bool read_template(PostProcessor *post, const json_t *spec, const KnownTokens *known, Err *err)
{
    const json_t *specials = json_object_get(spec, "special_tokens");
    if (!read_parts(&post->single, json_object_get(spec, "single"), specials, known, err) ||
        !read_parts(&post->pair, json_object_get(spec, "pair"), specials, known, err))
        return false;
    if (times(&post->single, TEMPLATE_A) != 1 || times(&post->single, TEMPLATE_B) != 0)
        return err_set(err, ERR_INPUT, "the template 'single' does not use sequence A once");
    if (times(&post->pair, TEMPLATE_A) != 1 || times(&post->pair, TEMPLATE_B) != 1)
        return err_set(err, ERR_INPUT, "the template 'pair' does not use sequences A and B once each");
    return true;
}

/* ---- BertProcessing: [CLS] A [SEP], [CLS] A [SEP] B [SEP] ------------------- */

/* ["[SEP]", 102] */
static bool read_named(int32_t *id, const json_t *spec, const char *key, const KnownTokens *known, Err *err)
{
    const json_t *both = json_object_get(spec, key);
    const json_t *token = json_array_get(both, 0), *number = json_array_get(both, 1);
    if (!json_is_string(token) || !json_is_integer(number))
        return err_set(err, ERR_INPUT, "the post_processor has no '%s' of token and id", key);
    *id = (int32_t)json_integer_value(number);
    return check_token(known, json_string_value(token), json_integer_value(number), err);
}

/* The part that both have, of one text and of two: cls A sep. */
static bool read_first(PostProcessor *post, int32_t *sep, const json_t *spec, const KnownTokens *known, Err *err)
{
    int32_t cls = 0;
    if (!read_named(&cls, spec, "cls", known, err) || !read_named(sep, spec, "sep", known, err))
        return false;
    Template *const both[] = { &post->single, &post->pair };
    for (size_t i = 0; i < LENGTH(both); i++) {
        add_part(both[i], cls, 0);
        add_part(both[i], TEMPLATE_A, 0);
        add_part(both[i], *sep, 0);
    }
    return true;
}

static bool read_bert(PostProcessor *post, const json_t *spec, const KnownTokens *known, Err *err)
{
    int32_t sep = 0;
    if (!read_first(post, &sep, spec, known, err))
        return false;
    add_part(&post->pair, TEMPLATE_B, 1);
    add_part(&post->pair, sep, 1);
    return true;
}

/* ---- RobertaProcessing: <s> A </s>, <s> A </s></s> B </s>; ByteLevel --------- */

static bool read_trim(PostProcessor *post, const json_t *spec, const KnownTokens *known, Err *err)
{
    (void)known;
    const bool prefix = json_get_bool(spec, "add_prefix_space", true, err);
    if (!json_get_bool(spec, "trim_offsets", true, err))
        return err->kind == ERR_NONE;
    if (post->trims == MOST_TRIMS)
        return err_set(err, ERR_INPUT, "the post_processor trims offsets too often");
    post->prefix_space[post->trims++] = prefix;
    return err->kind == ERR_NONE;
}

static bool read_roberta(PostProcessor *post, const json_t *spec, const KnownTokens *known, Err *err)
{
    int32_t sep = 0;
    if (!read_first(post, &sep, spec, known, err))
        return false;
    add_part(&post->pair, sep, 0);
    add_part(&post->pair, TEMPLATE_B, 0);
    add_part(&post->pair, sep, 0);
    return read_trim(post, spec, known, err);
}

/* ---- the list -------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*read)(PostProcessor *post, const json_t *spec, const KnownTokens *known, Err *err);
    bool adds; /* tokens */
} kinds[] = {
    { "BertProcessing", read_bert, true },
    { "ByteLevel", read_trim, false },
    { "RobertaProcessing", read_roberta, true },
    { "TemplateProcessing", read_template, true },
};

static bool read_any(PostProcessor *post, const json_t *spec, const KnownTokens *known, Err *err);

static bool read_list(PostProcessor *post, const json_t *spec, const KnownTokens *known, Err *err)
{
    const json_t *list = json_object_get(spec, "processors");
    if (!json_is_array(list))
        return err_set(err, ERR_INPUT, "post_processor 'Sequence' has no list 'processors'");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_any(post, json_array_get(list, i), known, err))
            return false;
    return true;
}

static bool read_any(PostProcessor *post, const json_t *spec, const KnownTokens *known, Err *err)
{
    const char *name = json_get_string(spec, "type", NULL, err);
    if (!name)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "the post_processor has no 'type'") : false;
    if (strcmp(name, "Sequence") == 0)
        return read_list(post, spec, known, err);
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        if (kinds[i].adds && post->single.count > 0)
            return err_set(err, ERR_INPUT,
                           "a second post_processor that adds tokens, '%s', "
                           "is not supported",
                           name);
        return kinds[i].read(post, spec, known, err);
    }
    return err_set(err, ERR_INPUT, "post_processor type '%s' is not supported", name);
}

bool postprocess_read(PostProcessor *post, const json_t *spec, const Vocab *vocab, const Vocab *added, Err *err)
{
    const KnownTokens known = { vocab, added };
    if (spec && !json_is_null(spec) && !read_any(post, spec, &known, err))
        return false;
    if (post->single.count == 0) { /* none, or an empty Sequence */
        add_part(&post->single, TEMPLATE_A, 0);
        add_part(&post->pair, TEMPLATE_A, 0);
        add_part(&post->pair, TEMPLATE_B, 1);
    }
    return true;
}

void postprocess_release(PostProcessor *post)
{
    free(post->single.parts);
    free(post->pair.parts);
    *post = (PostProcessor){ 0 };
}
