#include "worker/tokenizer/folder.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

/* ---- the files that hold the vocabulary ------------------------------------------ */

static json_t *read_vocab_txt(const char *path, const char *data, size_t size, Err *err)
{
    json_t *vocab = json_object();
    json_int_t id = 0;
    for (size_t at = 0; at < size; id++) {
        const char *end = memchr(data + at, '\n', size - at);
        const size_t next = end ? (size_t)(end - data) + 1 : size;
        size_t n = (end ? next - 1 : size) - at;
        if (n > 0 && data[at + n - 1] == '\r')
            n--;
        char *token = xstrndup(data + at, n);
        if (strlen(token) != n || text_utf8_valid(token, n) != n)
            err_set(err, ERR_INPUT, "the token is not valid UTF-8");
        else if (json_object_get(vocab, token))
            err_set(err, ERR_INPUT, "token '%s' is there twice", token);
        else
            json_object_set_new(vocab, token, json_integer(id));
        free(token);
        if (err->kind != ERR_NONE) {
            err_at(err, "%s:%lld", path, (long long)id + 1);
            json_decref(vocab);
            return NULL;
        }
        at = next;
    }
    return json_pack("{s:{s:o}}", "model", "vocab", vocab);
}

static json_t *read_merges(const char *data, size_t size)
{
    json_t *list = json_array();
    for (size_t at = 0; at < size;) {
        const char *end = memchr(data + at, '\n', size - at);
        const size_t next = end ? (size_t)(end - data) + 1 : size;
        size_t n = (end ? next - 1 : size) - at;
        if (n > 0 && data[at + n - 1] == '\r')
            n--;
        json_t *merge = json_stringn(data + at, n); /* NULL: not UTF-8, refused by BPE */
        if (n > 0)
            json_array_append_new(list, merge ? merge : json_null());
        at = next;
    }
    return list;
}

/* vocab.json beside merges.txt. */
static json_t *read_vocab_json(TokenizerFolder *files, const char *folder, const char *data, size_t size, Err *err)
{
    char *path = path_join(folder, "merges.txt");
    FileMap map = { 0 };
    json_t *vocab = json_bytes(data, size, files->path, err), *whole = NULL;
    if (vocab && file_map(&map, path, err)) {
        const char *merges = map.data ? map.data : "";
        files->digest = digest_fast_more(files->digest, merges, map.size);
        whole = json_pack("{s:{s:O, s:o}}", "model", "vocab", vocab, "merges", read_merges(merges, map.size));
    }
    file_unmap(&map);
    json_decref(vocab);
    free(path);
    return whole;
}

/* tokenizer.json, else vocab.txt, else vocab.json. */
static bool find_vocabulary(TokenizerFolder *files, const char *folder, Err *err)
{
    static const char *const names[] = { "tokenizer.json", "vocab.txt", "vocab.json" };
    for (size_t i = 0; i < LENGTH(names); i++) {
        files->source = (TokenizerSource)i;
        files->path = path_join(folder, names[i]);
        if (file_exists(files->path))
            return true;
        free(files->path);
        files->path = NULL;
    }
    err_set(err, ERR_INPUT, "neither tokenizer.json nor vocab.txt nor vocab.json is there");
    return err_at(err, "%s", folder);
}

static bool read_vocabulary(TokenizerFolder *files, const char *folder, Err *err)
{
    static const char byte_level[] = "\"ByteLevel\"";
    FileMap map = { 0 };
    if (!find_vocabulary(files, folder, err) || !file_map(&map, files->path, err))
        return false;
    const char *data = map.data ? map.data : "";
    files->digest = digest_fast_more(files->digest, data, map.size);
    if (files->source == FROM_VOCAB_TXT)
        files->whole = read_vocab_txt(files->path, data, map.size, err);
    else if (files->source == FROM_VOCAB_JSON)
        files->whole = read_vocab_json(files, folder, data, map.size, err);
    else
        files->whole = json_bytes(data, map.size, files->path, err);
    files->is_byte_level =
        files->source == FROM_TOKENIZER_JSON && memmem(data, map.size, byte_level, sizeof byte_level - 1);
    file_unmap(&map);
    if (files->whole && !json_is_object(files->whole)) {
        err_set(err, ERR_INPUT, "not a JSON object");
        return err_at(err, "%s", files->path);
    }
    return files->whole != NULL;
}

/* ---- the files beside it ------------------------------------------------------------ */

/* An object, if the file is there. Its bytes enter *digest, unless NULL. */
static bool read_beside(json_t **value, const char *folder, const char *name, uint64_t *digest, Err *err)
{
    char *path = path_join(folder, name);
    FileMap map = { 0 };
    bool ok = true;
    if (file_exists(path) && (ok = file_map(&map, path, err))) {
        if (digest)
            *digest = digest_fast_more(*digest, map.data, map.size);
        *value = json_bytes(map.data ? map.data : "", map.size, path, err);
        ok = *value != NULL;
        if (ok && !json_is_object(*value)) {
            err_set(err, ERR_INPUT, "not a JSON object");
            ok = err_at(err, "%s", path);
        }
    }
    file_unmap(&map);
    free(path);
    return ok;
}

static const char more[] = "additional_special_tokens", newer[] = "extra_special_tokens";

/* The list of more special tokens gets its newer name, if both names do not have one. */
static void rename_list(json_t *config)
{
    json_t *list = json_object_get(config, more);
    const json_t *other = json_object_get(config, newer);
    if (!list || json_array_size(other) > 0 || json_object_size(other) > 0)
        return;
    json_object_set(config, newer, list);
    json_object_del(config, more);
}

/* Puts the older file that names special tokens over the newer one, whose list of more of them grows. */
static void put_over(json_t *config, const json_t *specials)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)specials, key, value)
    {
        json_t *before = json_object_get(config, key);
        if (strcmp(key, newer) == 0 && json_is_array(before) && json_is_array(value))
            json_array_extend(before, value);
        else
            json_object_set(config, key, value);
    }
}

/* The older file counts only where the newer one has no added_tokens_decoder. */
static bool read_settings(TokenizerFolder *files, const char *folder, Err *err)
{
    json_t *specials = NULL;
    const bool ok = read_beside(&files->config, folder, "tokenizer_config.json", &files->digest, err) &&
                    read_beside(&specials, folder, "special_tokens_map.json", &files->digest, err);
    if (!files->config)
        files->config = json_object();
    rename_list(files->config);
    if (ok && specials && !json_object_get(files->config, "added_tokens_decoder"))
        put_over(files->config, specials);
    json_decref(specials);
    return ok;
}

bool tokenizer_folder_read(TokenizerFolder *files, const char *folder, Err *err)
{
    files->digest = digest_fast("", 0);
    return read_settings(files, folder, err) &&
           read_beside(&files->added, folder, "added_tokens.json", &files->digest, err) &&
           read_beside(&files->model, folder, "config.json", NULL, err) && read_vocabulary(files, folder, err);
}

void tokenizer_folder_release(TokenizerFolder *files)
{
    json_t *all[] = { files->whole, files->config, files->added, files->model };
    for (size_t i = 0; i < LENGTH(all); i++)
        json_decref(all[i]);
    free(files->path);
    *files = (TokenizerFolder){ 0 };
}
