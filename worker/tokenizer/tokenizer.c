#include "worker/tokenizer/tokenizer.h"

#include "common/base/digest.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/known_types.h"
#include "worker/tokenizer/pipeline.h"

#include <stdlib.h>
#include <string.h>

/* ---- opening --------------------------------------------------------------- */

static bool check_version(const json_t *whole, Err *err)
{
    const char *version = json_get_string(whole, "version", "1.0", err);
    if (strcmp(version, "1.0") != 0)
        return err_set(err, ERR_INPUT, "version '%s' is not supported", version);
    return err->kind == ERR_NONE;
}

/* What follows from several parts. */
static void finish(Tokenizer *tokenizer)
{
    TokenModel *model = &tokenizer->model;
    if (pretokenizer_ends_in_bytes(&tokenizer->pretokenizer) && model->kind->take_bytes &&
        model->kind->take_bytes(model->state))
        pretokenizer_set_raw(&tokenizer->pretokenizer);
    if (tokenizer->post.trims == 0)
        return;
    const Vocab *vocab = &model->vocab;
    tokenizer->spaces = xcalloc((size_t)vocab->largest + 1, sizeof(tokenizer->spaces[0]));
    for (int32_t id = 0; id <= vocab->largest; id++) {
        const char *token = vocab_token(vocab, id);
        if (token)
            tokenizer->spaces[id] = token_spaces(token, strlen(token));
    }
}

static json_t *token_with_id(const Tokenizer *tokenizer, const char *key)
{
    const int32_t id = tokenizer_special(tokenizer, key);
    const char *content = id >= 0 ? vocab_token(&tokenizer->added.ids, id) : NULL;
    return content ? json_pack("[s, i]", content, (int)id) : NULL;
}

/* What Transformers makes when a folder of older files asks for it: <s> A </s>, <s> A </s><s> B </s>. */
static json_t *template_of(const Tokenizer *tokenizer, const json_t *config, Err *err)
{
    json_t *first = json_get_bool(config, "add_bos_token", false, err) ? token_with_id(tokenizer, "bos_token") : NULL;
    json_t *last = json_get_bool(config, "add_eos_token", false, err) ? token_with_id(tokenizer, "eos_token") : NULL;
    json_t *single = json_array(), *pair = json_array(), *specials = json_object();
    json_t *const around[] = { first, NULL, last };
    for (int i = 0; i < 6; i++) {
        json_t *token = around[i % 3];
        const char *content = json_string_value(json_array_get(token, 0));
        json_t *part = i % 3 == 1 ? json_pack("{s:{s:s, s:i}}", "Sequence", "id", i < 3 ? "A" : "B", "type_id", i / 3)
                       : token    ? json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", content, "type_id", i / 3)
                                  : NULL;
        if (part && i < 3)
            json_array_append(single, part);
        if (part)
            json_array_append_new(pair, part);
        if (token)
            json_object_set_new(specials, content,
                                json_pack("{s:[O], s:[s]}", "ids", json_array_get(token, 1), "tokens", content));
    }
    json_decref(first);
    json_decref(last);
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair", pair,
                     "special_tokens", specials);
}

/* The class's own, else the file's. */
static bool read_post(Tokenizer *t, const TokenizerFolder *files, const TokenizerClass *class, Err *err)
{
    json_t *own = NULL;
    if (class && class->post) {
        json_t *first = token_with_id(t, class->first), *last = token_with_id(t, class->last);
        if (!first || !last)
            err_set(err, ERR_INPUT, "%s has no %s", class->name, first ? class->last : class->first);
        else
            own = class->post(files->config, first, last, err);
        json_decref(first);
        json_decref(last);
    } else if (files->source != FROM_TOKENIZER_JSON) {
        own = template_of(t, files->config, err);
    }
    const json_t *spec = own ? own : json_object_get(files->whole, "post_processor");
    const bool ok = err->kind == ERR_NONE && postprocess_read(&t->post, spec, &t->model.vocab, &t->added.ids, err);
    json_decref(own);
    return ok;
}

static bool read_parts(Tokenizer *t, const TokenizerFolder *files, const TokenizerClass *class, Err *err)
{
    json_t *whole = files->whole;
    if (!check_version(whole, err))
        return false;
    return normalizer_read(&t->normalizer, json_object_get(whole, "normalizer"), err) &&
           pretokenizer_read(&t->pretokenizer, json_object_get(whole, "pre_tokenizer"), err) &&
           token_model_read(&t->model, json_object_get(whole, "model"), err) &&
           ((class && class->build) ||
            added_tokens_read(&t->added, json_object_get(whole, "added_tokens"), &t->model.vocab, err)) &&
           special_tokens_read(t, files, class, err) && read_post(t, files, class, err) &&
           decoder_read(&t->decoder, json_object_get(whole, "decoder"), err);
}

/* tokenizer_config.json's truncation_side, else that of tokenizer.json's truncation. */
static bool read_side(Tokenizer *tokenizer, const TokenizerFolder *files, Err *err)
{
    const json_t *truncation = json_object_get(files->whole, "truncation");
    const char *written = json_get_string(truncation, "direction", "Right", err);
    const char *side = json_get_string(files->config, "truncation_side", NULL, err);
    if (side && strcmp(side, "left") != 0 && strcmp(side, "right") != 0)
        return err_set(err, ERR_INPUT, "'truncation_side' is neither 'left' nor 'right': '%s'", side);
    tokenizer->cuts_left = side ? strcmp(side, "left") == 0 : strcmp(written, "Left") == 0;
    return err->kind == ERR_NONE;
}

/* Whether token_type_ids are given: model_input_names, else what the class does. A file that no class is known
 * for does if its template has types. */
static bool find_types(const Tokenizer *tokenizer, const TokenizerFolder *files, const TokenizerClass *class)
{
    const json_t *names = json_object_get(files->config, "model_input_names");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name && strcmp(name, "token_type_ids") == 0)
            return true;
    }
    if (json_is_array(names))
        return false;
    if (class || class_is_named(files))
        return class && class->has_types;
    const Template *pair = &tokenizer->post.pair;
    for (int64_t i = 0; i < pair->count; i++)
        if (pair->specials > 0 && pair->parts[i].type != 0)
            return true;
    return false;
}

static bool open_from(Tokenizer *tokenizer, TokenizerFolder *files, const char *folder, Err *err)
{
    const TokenizerClass *class = NULL;
    if (!tokenizer_folder_read(files, folder, err) || !class_find(&class, files, err))
        return false;
    if (class && class->build && known_types_check(files->whole, err))
        class->build(files->whole, files->config, err);
    tokenizer->digest = class ? digest_fast_more(files->digest, class->name, strlen(class->name)) : files->digest;
    if (err->kind != ERR_NONE || !read_parts(tokenizer, files, class, err) || !read_side(tokenizer, files, err))
        return err_at(err, "%s", files->path);
    finish(tokenizer);
    tokenizer->has_types = find_types(tokenizer, files, class);
    return true;
}

Tokenizer *tokenizer_open(const char *model_folder, Err *err)
{
    Err own = { 0 };
    if (!err)
        err = &own;
    Tokenizer *tokenizer = xcalloc(1, sizeof(*tokenizer));
    TokenizerFolder files = { 0 };
    if (!open_from(tokenizer, &files, model_folder, err)) {
        tokenizer_close(tokenizer);
        tokenizer = NULL;
    }
    tokenizer_folder_release(&files);
    return tokenizer;
}

void tokenizer_close(Tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    special_tokens_release(tokenizer);
    free(tokenizer->spaces);
    decoder_release(&tokenizer->decoder);
    postprocess_release(&tokenizer->post);
    added_tokens_release(&tokenizer->added);
    token_model_release(&tokenizer->model);
    pretokenizer_release(&tokenizer->pretokenizer);
    normalizer_release(&tokenizer->normalizer);
    free(tokenizer);
}

/* ---- asking ---------------------------------------------------------------- */

int64_t tokenizer_size(const Tokenizer *tokenizer)
{
    const Vocab *vocab = &tokenizer->model.vocab, *added = &tokenizer->added.ids;
    const int64_t largest = vocab->count > 0 ? vocab->largest : -1;
    return 1 + (added->count > 0 && added->largest > largest ? added->largest : largest);
}

uint64_t tokenizer_digest(const Tokenizer *tokenizer)
{
    return tokenizer->digest;
}

int32_t tokenizer_id(const Tokenizer *tokenizer, const char *token)
{
    return pipeline_id(tokenizer, token);
}

bool tokenizer_has_types(const Tokenizer *tokenizer)
{
    return tokenizer->has_types;
}

const char *tokenizer_token(const Tokenizer *tokenizer, int32_t id)
{
    const char *added = vocab_token(&tokenizer->added.shown, id);
    return added ? added : vocab_token(&tokenizer->model.vocab, id);
}

int32_t tokenizer_special(const Tokenizer *tokenizer, const char *name)
{
    for (size_t i = 0; i < tokenizer->named_count; i++)
        if (strcmp(tokenizer->named[i].name, name) == 0)
            return tokenizer->named[i].id;
    return -1;
}
