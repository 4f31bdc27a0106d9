#include "common/slots/slots_tokens.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static const char key[] = "lora.trainable_token_indices";

/* Is it a name of the module, by PEFT's rule: the path, or its end behind a dot? */
static bool is_name_of(const char *name, const char *path)
{
    const size_t n = strlen(name), all = strlen(path);
    return n <= all && strcmp(path + all - n, name) == 0 && (n == all || path[all - n - 1] == '.');
}

/* The list; of a map, that of the word table, which is the only one. */
static bool find_list(const json_t **list, const json_t *given, const ModelArch *arch, Err *err)
{
    const char *name;
    json_t *value;
    *list = given;
    if (!json_is_object(given))
        return true;
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        const Module *word = arch_module(arch, -1, ROLE_WORD);
        if (!word || !is_name_of(name, word->path)) {
            err_set(err, ERR_INPUT, "%s: '%s' is not the table of words", key, name);
            return word ? err_hint(err, "only rows of '%s' can be trained: {%s: [...]}", word->path,
                                   strrchr(word->path, '.') ? strrchr(word->path, '.') + 1 : word->path)
                        : err_hint(err, "this model has none");
        }
        *list = value;
    }
    return true;
}

static bool take_id(int64_t *ids, int64_t count, const json_t *value, int64_t V, Err *err)
{
    const json_int_t id = json_integer_value(value);
    if (!json_is_integer(value))
        return err_set(err, ERR_INPUT, "%s is not a list of whole numbers", key);
    if (id < 0 || id >= V)
        return err_set(err, ERR_INPUT, "%s: %lld is no token of a vocabulary of %lld", key, (long long)id,
                       (long long)V);
    for (int64_t i = 0; i < count; i++)
        if (ids[i] == id)
            return err_set(err, ERR_INPUT, "%s: token %lld stands there twice", key, (long long)id);
    ids[count] = id;
    return true;
}

bool slots_tokens(int64_t **ids, int64_t *count, const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    const json_t *list;
    *ids = NULL;
    *count = 0;
    if (!lora->tokens || (json_object_size(lora->tokens) == 0 && json_array_size(lora->tokens) == 0))
        return true;
    if (!find_list(&list, lora->tokens, arch, err))
        return false;
    const Module *word = arch_module(arch, -1, ROLE_WORD);
    if (!word || json_array_size(list) == 0) {
        err_set(err, ERR_INPUT, word ? "%s names no token" : "%s: this model reads no words", key);
        return err_hint(err, "remove it");
    }
    const int64_t n = (int64_t)json_array_size(list);
    *ids = xcalloc((size_t)n, sizeof **ids);
    for (int64_t i = 0; i < n; i++) {
        if (take_id(*ids, i, json_array_get(list, (size_t)i), word->out, err))
            continue;
        free(*ids);
        *ids = NULL;
        return false;
    }
    *count = n;
    return true;
}
