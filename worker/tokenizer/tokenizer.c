#include "worker/tokenizer/tokenizer.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/pipeline.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- opening --------------------------------------------------------------- */

static bool check_version(const json_t *whole, Err *err)
{
    const char *version = json_get_string(whole, "version", "1.0", err);
    if (strcmp(version, "1.0") != 0)
        return err_set(err, ERR_INPUT, "version '%s' is not supported", version);
    return err->kind == ERR_NONE;
}

/* GPT-2's and RoBERTa's classes of Transformers put the setting of their configuration
 * into the pre-tokenizer. */
static void set_prefix_space(Tokenizer *tokenizer, const json_t *config, Err *err)
{
    const char *class = json_get_string(config, "tokenizer_class", "", err);
    if (!json_get_bool(config, "add_prefix_space", false, err) ||
        !(text_starts(class, "GPT2Tokenizer") || text_starts(class, "RobertaTokenizer")))
        return;
    PreTokenizer *pretokenizer = &tokenizer->pretokenizer;
    for (size_t i = 0; i < pretokenizer->count; i++)
        pretokenizer->ops[i].prefix_space = true; /* read by ByteLevel alone */
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

static bool read_parts(Tokenizer *tokenizer, const json_t *whole, Err *err)
{
    Tokenizer *t = tokenizer;
    if (!json_is_object(whole))
        return err_set(err, ERR_INPUT, "not a JSON object");
    return check_version(whole, err) &&
           normalizer_read(&t->normalizer, json_object_get(whole, "normalizer"), err) &&
           pretokenizer_read(&t->pretokenizer, json_object_get(whole, "pre_tokenizer"), err) &&
           token_model_read(&t->model, json_object_get(whole, "model"), err) &&
           added_tokens_read(&t->added, json_object_get(whole, "added_tokens"), &t->model.vocab,
                             &t->normalizer, err) &&
           postprocess_read(&t->post, json_object_get(whole, "post_processor"), &t->model.vocab,
                            &t->added.ids, err) &&
           decoder_read(&t->decoder, json_object_get(whole, "decoder"), err);
}

/* A file of the folder to *value, if it is there. Its bytes enter the digest. */
static bool read_beside(json_t **value, const char *folder, const char *name, uint64_t *digest,
                        Err *err)
{
    char *path = path_join(folder, name);
    FileMap map = { 0 };
    bool ok = true;
    if (file_exists(path)) {
        ok = file_map(&map, path, err);
        if (ok) {
            *digest = digest_fast_more(*digest, map.data, map.size);
            *value = json_bytes(map.data ? map.data : "", map.size, path, err);
            ok = *value != NULL;
        }
    }
    file_unmap(&map);
    free(path);
    return ok;
}

/* Models whose classes of Transformers give no token_type_ids, though the
 * template has types. */
static bool class_has_no_types(const char *name)
{
    static const char *const none[] = {
        "DistilBertTokenizer", "GPT2Tokenizer",  "LlamaTokenizer",
        "MPNetTokenizer",      "Qwen2Tokenizer", "RobertaTokenizer"
    };
    for (size_t i = 0; i < LENGTH(none); i++)
        if (text_starts(name, none[i]))
            return true;
    return false;
}

static bool find_types(const Tokenizer *tokenizer, const json_t *config, Err *err)
{
    const json_t *names = json_object_get(config, "model_input_names");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name && strcmp(name, "token_type_ids") == 0)
            return true;
    }
    if (json_is_array(names))
        return false;
    if (class_has_no_types(json_get_string(config, "tokenizer_class", "", err)))
        return false;
    const Template *pair = &tokenizer->post.pair;
    for (int64_t i = 0; i < pair->count; i++)
        if (pair->specials > 0 && pair->parts[i].type != 0)
            return true;
    return false;
}

typedef enum { FROM_TOKENIZER_JSON, FROM_VOCAB_TXT, FROM_VOCAB_JSON } Source;

/* The file to read: tokenizer.json, else vocab.txt, else vocab.json. Owned; NULL: none. */
static char *find_file(const char *folder, Source *source, Err *err)
{
    static const char *const names[] = { "tokenizer.json", "vocab.txt", "vocab.json" };
    for (size_t i = 0; i < LENGTH(names); i++) {
        char *path = path_join(folder, names[i]);
        *source = (Source)i;
        if (file_exists(path))
            return path;
        free(path);
    }
    err_set(err, ERR_INPUT, "neither tokenizer.json nor vocab.txt nor vocab.json is there");
    err_at(err, "%s", folder);
    return NULL;
}

/* A whole tokenizer.json; NULL with *err set. */
static json_t *read_merges_beside(const char *folder, const char *path, json_t *vocab,
                                  const TokenizerFiles *files, uint64_t *digest, Err *err)
{
    char *merges = path_join(folder, "merges.txt");
    FileMap map = { 0 };
    json_t *whole = NULL;
    if (file_map(&map, merges, err)) {
        *digest = digest_fast_more(*digest, map.data, map.size);
        whole = vocab_json_as_json(path, vocab, map.data ? map.data : "", map.size, files, err);
    }
    file_unmap(&map);
    free(merges);
    return whole;
}

static json_t *read_whole(const char *folder, const char *path, Source source,
                          const TokenizerFiles *files, uint64_t *digest, Err *err)
{
    FileMap map = { 0 };
    if (!file_map(&map, path, err))
        return NULL;
    const char *data = map.data ? map.data : "";
    *digest = digest_fast_more(*digest, data, map.size);
    json_t *whole = source == FROM_VOCAB_TXT
                        ? vocab_txt_as_json(path, data, map.size, files->config, err)
                        : json_bytes(data, map.size, path, err);
    file_unmap(&map);
    if (whole && source == FROM_VOCAB_JSON) {
        json_t *vocab = whole;
        whole = read_merges_beside(folder, path, vocab, files, digest, err);
        json_decref(vocab);
    }
    return whole;
}

static bool read_file(Tokenizer *tokenizer, const char *folder, const char *path, Source source,
                      const TokenizerFiles *files, Err *err)
{
    json_t *whole = read_whole(folder, path, source, files, &tokenizer->digest, err);
    bool ok = whole != NULL;
    if (ok && !read_parts(tokenizer, whole, err))
        ok = err_at(err, "%s", path);
    if (ok) {
        set_prefix_space(tokenizer, files->config, err);
        finish(tokenizer);
        tokenizer->has_types = find_types(tokenizer, files->config, err);
        ok = special_names_read(tokenizer, files, err);
    }
    json_decref(whole);
    return ok && err->kind == ERR_NONE;
}

/* Tokens that only this file names would be lost without a word. */
static bool check_beside(const char *folder, Source source, Err *err)
{
    char *path = path_join(folder, "added_tokens.json");
    const bool ok = source != FROM_VOCAB_TXT || !file_exists(path);
    if (!ok) {
        err_set(err, ERR_INPUT, "added_tokens.json beside vocab.txt is not supported");
        err_at(err, "%s", path);
        err_hint(err, "save the tokenizer again with Transformers: that writes tokenizer.json");
    }
    free(path);
    return ok;
}

static bool open_from(Tokenizer *tokenizer, const char *folder, const char *path, Source source,
                      Err *err)
{
    TokenizerFiles files = { 0 };
    uint64_t *digest = &tokenizer->digest;
    const bool ok =
        check_beside(folder, source, err) &&
        read_beside(&files.config, folder, "tokenizer_config.json", digest, err) &&
        read_beside(&files.specials, folder, "special_tokens_map.json", digest, err) &&
        (source != FROM_VOCAB_JSON ||
         read_beside(&files.added, folder, "added_tokens.json", digest, err)) &&
        read_file(tokenizer, folder, path, source, &files, err);
    json_decref(files.config);
    json_decref(files.specials);
    json_decref(files.added);
    return ok;
}

Tokenizer *tokenizer_open(const char *model_folder, Err *err)
{
    Err own = { 0 };
    if (!err)
        err = &own;
    Source source = FROM_TOKENIZER_JSON;
    char *path = find_file(model_folder, &source, err);
    if (!path)
        return NULL;
    Tokenizer *tokenizer = xcalloc(1, sizeof(*tokenizer));
    tokenizer->digest = digest_fast("", 0);
    if (!open_from(tokenizer, model_folder, path, source, err)) {
        tokenizer_close(tokenizer);
        tokenizer = NULL;
    }
    free(path);
    return tokenizer;
}

void tokenizer_close(Tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    special_names_release(tokenizer);
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
    const size_t n = strlen(token);
    const int32_t added = vocab_find(&tokenizer->added.ids, token, n);
    return added >= 0 ? added : vocab_find(&tokenizer->model.vocab, token, n);
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
