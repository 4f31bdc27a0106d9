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
        return err_set(err, ERR_INPUT, "version '%s' is not supported yet", version);
    return err->kind == ERR_NONE;
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
                            &t->added.ids, err);
}

/* tokenizer_config.json of the folder, or NULL. Its bytes enter the digest. */
static bool read_config(json_t **config, const char *folder, uint64_t *digest, Err *err)
{
    char *path = path_join(folder, "tokenizer_config.json");
    FileMap map = { 0 };
    bool ok = true;
    if (file_exists(path)) {
        ok = file_map(&map, path, err);
        if (ok) {
            *digest = digest_fast_more(*digest, map.data, map.size);
            *config = json_bytes(map.data ? map.data : "", map.size, path, err);
            ok = *config != NULL;
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

/* The file to read: tokenizer.json, else vocab.txt. Owned; NULL: neither. */
static char *find_file(const char *folder, bool *is_json, Err *err)
{
    char *path = path_join(folder, "tokenizer.json");
    *is_json = file_exists(path);
    if (*is_json)
        return path;
    free(path);
    path = path_join(folder, "vocab.txt");
    if (file_exists(path))
        return path;
    free(path);
    err_set(err, ERR_INPUT, "neither tokenizer.json nor vocab.txt is there");
    err_at(err, "%s", folder);
    return NULL;
}

static bool read_file(Tokenizer *tokenizer, const char *folder, const char *path, bool is_json,
                      Err *err)
{
    FileMap map = { 0 };
    json_t *config = NULL, *whole = NULL;
    bool ok = file_map(&map, path, err);
    if (ok) {
        tokenizer->digest = digest_fast(map.data, map.size);
        ok = read_config(&config, folder, &tokenizer->digest, err);
    }
    if (ok) {
        const char *data = map.data ? map.data : "";
        whole = is_json ? json_bytes(data, map.size, path, err)
                        : vocab_txt_as_json(path, data, map.size, config, err);
        ok = whole != NULL;
    }
    if (ok && !read_parts(tokenizer, whole, err))
        ok = err_at(err, "%s", path);
    if (ok)
        tokenizer->has_types = find_types(tokenizer, config, err);
    json_decref(whole);
    json_decref(config);
    file_unmap(&map);
    return ok && err->kind == ERR_NONE;
}

/* Tokens that only this file names would be lost without a word. */
static bool check_beside(const char *folder, bool is_json, Err *err)
{
    char *path = path_join(folder, "added_tokens.json");
    const bool ok = is_json || !file_exists(path);
    if (!ok) {
        err_set(err, ERR_INPUT, "added_tokens.json beside vocab.txt is not supported yet");
        err_at(err, "%s", path);
        err_hint(err, "save the tokenizer again with Transformers: that writes tokenizer.json");
    }
    free(path);
    return ok;
}

Tokenizer *tokenizer_open(const char *model_folder, Err *err)
{
    Err own = { 0 };
    if (!err)
        err = &own;
    bool is_json = false;
    char *path = find_file(model_folder, &is_json, err);
    if (!path)
        return NULL;
    Tokenizer *tokenizer = xcalloc(1, sizeof(*tokenizer));
    if (!check_beside(model_folder, is_json, err) ||
        !read_file(tokenizer, model_folder, path, is_json, err)) {
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
    postprocess_release(&tokenizer->post);
    added_tokens_release(&tokenizer->added);
    token_model_release(&tokenizer->model);
    pretokenizer_release(&tokenizer->pretokenizer);
    normalizer_release(&tokenizer->normalizer);
    free(tokenizer);
}

/* ---- encoding -------------------------------------------------------------- */

static void encode_words(const Tokenizer *tokenizer, const char *text, size_t n, PreText *pre,
                         Ids *out)
{
    pretokenizer_run(&tokenizer->pretokenizer, text, n, pre);
    const TokenModel *model = &tokenizer->model;
    for (size_t i = 0; i < pre->pieces.count; i++) {
        const Piece piece = pre->pieces.data[i];
        model->kind->encode(model->state, pre->text + piece.at, piece.size, out);
    }
}

/* text[0, n) holds no added token of the first kind. */
static void encode_part(const Tokenizer *tokenizer, const char *text, size_t n, Scratch *scratch,
                        Ids *out)
{
    text = normalizer_run(&tokenizer->normalizer, text, &n, scratch);
    AddedMatch match = { 0 };
    size_t done = 0;
    while (added_tokens_next(&tokenizer->added.normalized, text, n, &match)) {
        if (match.start > done)
            encode_words(tokenizer, text + done, match.start - done, &scratch->pre, out);
        ids_add(out, match.id);
        done = match.end;
    }
    if (done < n)
        encode_words(tokenizer, text + done, n - done, &scratch->pre, out);
}

static void encode_text(const Tokenizer *tokenizer, const char *text, size_t n, Scratch *scratch,
                        Ids *out)
{
    out->count = 0;
    AddedMatch match = { 0 };
    size_t done = 0;
    while (added_tokens_next(&tokenizer->added.raw, text, n, &match)) {
        if (match.start > done)
            encode_part(tokenizer, text + done, match.start - done, scratch, out);
        ids_add(out, match.id);
        done = match.end;
    }
    if (done < n)
        encode_part(tokenizer, text + done, n - done, scratch, out);
}

/* longest_first as tokenizers does it: the shorter one is cut only when both
 * have more than half of the room. */
static void truncate_both(int64_t *a, int64_t *b, int64_t room)
{
    if (*a + *b <= room)
        return;
    int64_t *shorter = *a <= *b ? a : b, *longer = *a <= *b ? b : a;
    if (*shorter > room)
        *longer = *shorter;
    else
        *longer = *shorter > room - *shorter ? *shorter : room - *shorter;
    if (*shorter + *longer > room) {
        *shorter = room / 2;
        *longer = *shorter + room % 2;
    }
}

static void put(Encoding *out, const int32_t *ids, int64_t count, int32_t type)
{
    for (int64_t i = 0; i < count; i++) {
        out->ids[out->count] = ids[i];
        out->types[out->count++] = type;
    }
}

static void assemble(const Template *template, const Ids *a, const Ids *b, Encoding *out)
{
    const int64_t need = a->count + b->count + template->specials;
    if (out->room < need) {
        out->room = need > 2 * out->room ? need : 2 * out->room;
        out->ids = xrealloc(out->ids, (size_t)out->room * sizeof(out->ids[0]));
        out->types = xrealloc(out->types, (size_t)out->room * sizeof(out->types[0]));
    }
    out->count = 0;
    for (int64_t i = 0; i < template->count; i++) {
        const TemplatePart *part = &template->parts[i];
        if (part->what == TEMPLATE_A)
            put(out, a->data, a->count, part->type);
        else if (part->what == TEMPLATE_B)
            put(out, b->data, b->count, part->type);
        else
            put(out, &part->what, 1, part->type);
    }
}

bool tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t n, const char *pair,
                      size_t pair_n, int64_t max_length, Encoding *out, Err *err)
{
    const Template *template = pair ? &tokenizer->post.pair : &tokenizer->post.single;
    const int64_t room = max_length > 0 ? max_length - template->specials : INT64_MAX;
    if (room <= 0)
        return err_set(err, ERR_INPUT,
                       "max_length %lld leaves no room beside the %lld special tokens",
                       (long long)max_length, (long long)template->specials);
    if (!out->scratch)
        out->scratch = xcalloc(1, sizeof(*out->scratch));
    Scratch *scratch = out->scratch;
    Ids *a = &scratch->ids[0], *b = &scratch->ids[1];
    encode_text(tokenizer, text, n, scratch, a);
    b->count = 0;
    if (pair)
        encode_text(tokenizer, pair, pair_n, scratch, b);
    if (pair)
        truncate_both(&a->count, &b->count, room);
    else if (a->count > room)
        a->count = room;
    assemble(template, a, b, out);
    return true;
}

void encoding_release(Encoding *encoding)
{
    free(encoding->ids);
    free(encoding->types);
    if (encoding->scratch)
        scratch_release(encoding->scratch);
    free(encoding->scratch);
    *encoding = (Encoding){ 0 };
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
