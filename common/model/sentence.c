#include "common/model/sentence.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* FOLDER/PATH/NAME. Owned. */
static char *inside(const char *folder, const char *path, const char *name)
{
    char *at = path_join(folder, path), *file = path_join(at, name);
    free(at);
    return file;
}

/* The keys of the releases up to 5, and the word of 6. */
static const struct {
    const char *key, *word;
    Pooling pooling; /* AUTO: not offered */
} poolings[] = {
    { "pooling_mode_mean_tokens", "mean", POOLING_MEAN },
    { "pooling_mode_cls_token", "cls", POOLING_CLS },
    { "pooling_mode_lasttoken", "lasttoken", POOLING_LAST },
    { "pooling_mode_max_tokens", "max", POOLING_AUTO },
    { "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", POOLING_AUTO },
    { "pooling_mode_weightedmean_tokens", "weightedmean", POOLING_AUTO },
};
enum { POOLINGS = sizeof poolings / sizeof *poolings };

static bool refuse_pooling(const char *what, Err *err)
{
    err_set(err, ERR_INPUT, "the pooling %s is not supported", what);
    return err_hint(err, "mean, cls and lasttoken are: train.pooling, for a model that is to learn another");
}

static bool take_pooling(SentenceFolder *s, const json_t *config, Err *err)
{
    const char *word = json_get_string(config, "pooling_mode", NULL, err);
    int found = -1, count = 0;
    for (int i = 0; i < POOLINGS && err->kind == ERR_NONE; i++) {
        const bool is = word ? strcmp(word, poolings[i].word) == 0 : json_get_bool(config, poolings[i].key, false, err);
        found = is ? i : found;
        count += is;
    }
    if (err->kind != ERR_NONE)
        return false;
    if (count != 1)
        return refuse_pooling(word ? word : count ? "of several at once" : "of none", err);
    s->pooling = poolings[found].pooling;
    return s->pooling != POOLING_AUTO || refuse_pooling(poolings[found].word, err);
}

static bool read_pooling(SentenceFolder *s, const char *folder, const char *path, Err *err)
{
    char *file = inside(folder, path, "config.json");
    json_t *config = json_file(file, err);
    const bool ok = config && (take_pooling(s, config, err) || err_at(err, "%s", file));
    json_decref(config);
    free(file);
    return ok;
}

static bool read_length(SentenceFolder *s, const char *folder, Err *err)
{
    char *file = path_join(folder, "sentence_bert_config.json");
    bool ok = true;
    if (file_exists(file)) {
        json_t *config = json_file(file, err);
        s->max_length = config ? json_get_int(config, "max_seq_length", 0, err) : 0;
        ok = err->kind == ERR_NONE || err_at(err, "%s", file);
        json_decref(config);
    }
    free(file);
    return ok;
}

/* The last word of the type says what a module is: what stands before differs from release to release. */
static bool read_module(SentenceFolder *s, const char *folder, const json_t *module, Err *err)
{
    const char *type = json_get_string(module, "type", "", err), *dot = strrchr(type, '.');
    const char *path = json_get_string(module, "path", "", err), *word = dot ? dot + 1 : type;
    if (err->kind != ERR_NONE)
        return false;
    if (strcmp(word, "Transformer") == 0 && *path == '\0')
        return true;
    if (strcmp(word, "Pooling") == 0)
        return read_pooling(s, folder, path, err);
    if (strcmp(word, "Normalize") == 0) {
        s->normalize = NORMALIZE_YES;
        return true;
    }
    err_set(err, ERR_INPUT, "the module '%s' is not supported", type);
    return err_hint(err, "a Transformer, its Pooling and Normalize are");
}

static bool read_modules(SentenceFolder *s, const char *folder, const json_t *modules, Err *err)
{
    if (!json_is_array(modules))
        return err_set(err, ERR_INPUT, "not a list of modules");
    bool ok = true;
    for (size_t i = 0; ok && i < json_array_size(modules); i++)
        ok = read_module(s, folder, json_array_get(modules, i), err);
    return ok;
}

bool sentence_read(SentenceFolder *s, const char *folder, Err *err)
{
    char *file = path_join(folder, "modules.json");
    *s = (SentenceFolder){ .is = file_exists(file) };
    json_t *modules = s->is ? json_file(file, err) : NULL;
    bool ok = !s->is || modules;
    if (modules) {
        s->normalize = NORMALIZE_NO;
        ok = read_modules(s, folder, modules, err) || (err->where[0] ? false : err_at(err, "%s", file));
    }
    ok = ok && (!s->is || read_length(s, folder, err));
    json_decref(modules);
    free(file);
    return ok;
}

/* ---- writing ------------------------------------------------------------------------------- */

static json_t *module_of(int index, const char *path, const char *type)
{
    char name[8], full[64];
    snprintf(name, sizeof name, "%d", index);
    snprintf(full, sizeof full, "sentence_transformers.models.%s", type);
    return json_pack("{s:i, s:s, s:s, s:s}", "idx", index, "name", name, "path", path, "type", full);
}

/* Takes value. */
static bool put(const char *folder, const char *name, json_t *value, Err *err)
{
    char *path = path_join(folder, name);
    const bool ok = json_write(path, value, err);
    json_decref(value);
    free(path);
    return ok;
}

static bool write_pooling(const char *folder, const ModelArch *arch, Err *err)
{
    json_t *config = json_object();
    json_object_set_new(config, "word_embedding_dimension", json_integer(arch->C));
    for (int i = 0; i < POOLINGS; i++)
        json_object_set_new(config, poolings[i].key, json_boolean(poolings[i].pooling == arch->head.embed.how.pooling));
    json_object_set_new(config, "include_prompt", json_true());
    char *inner = path_join(folder, "1_Pooling");
    bool ok = folder_make(inner, err);
    if (ok)
        ok = put(inner, "config.json", json_incref(config), err);
    json_decref(config);
    free(inner);
    return ok;
}

/* Prompts and what is alike, as the base has them. */
static bool write_prompts(const char *folder, const ModelArch *arch, Err *err)
{
    static const char name[] = "config_sentence_transformers.json";
    char *from = path_join(arch->folder, name), *to = path_join(folder, name);
    const bool ok = file_exists(from)
                        ? file_copy(from, to, err)
                        : put(folder, name,
                              json_pack("{s:{s:s}, s:{}, s:n, s:s}", "__version__", "sentence_transformers", "2.0.0",
                                        "prompts", "default_prompt_name", "similarity_fn_name", "cosine"),
                              err);
    free(from);
    free(to);
    return ok;
}

bool sentence_write(const char *folder, const ModelArch *arch, int64_t max_length, Err *err)
{
    SentenceFolder base = { 0 };
    if (!read_length(&base, arch->folder, err))
        return false;
    const int64_t length = max_length > 0 ? max_length : base.max_length > 0 ? base.max_length : arch->positions;
    json_t *modules = json_array();
    json_array_append_new(modules, module_of(0, "", "Transformer"));
    json_array_append_new(modules, module_of(1, "1_Pooling", "Pooling"));
    if (arch->head.embed.how.normalize == NORMALIZE_YES)
        json_array_append_new(modules, module_of(2, "2_Normalize", "Normalize"));
    bool ok = put(folder, "modules.json", modules, err);
    ok = ok && put(folder, "sentence_bert_config.json",
                   json_pack("{s:I, s:b}", "max_seq_length", (json_int_t)length, "do_lower_case", 0), err);
    return ok && write_pooling(folder, arch, err) && write_prompts(folder, arch, err);
}
