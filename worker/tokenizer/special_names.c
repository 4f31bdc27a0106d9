/* The names that tokenizer_config.json, else special_tokens_map.json, gives tokens. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/pipeline.h"

#include <stdlib.h>
#include <string.h>

/* "</s>", or {"content": "</s>", ..}; NULL: another thing. */
static const char *content_of(const json_t *value)
{
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static void add(Tokenizer *tokenizer, const char *name, int32_t id)
{
    tokenizer->named = xrealloc(tokenizer->named,
                                (tokenizer->named_count + 1) * sizeof(tokenizer->named[0]));
    tokenizer->named[tokenizer->named_count++] = (NamedToken){ xstrdup(name), id };
}

/* A name for a token that the vocabulary lacks is no name: -1. */
static void read_names(Tokenizer *tokenizer, const json_t *file, const json_t *before)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)file, name, value)
    {
        const char *content = content_of(value);
        if (text_ends(name, "_token") && content && !json_object_get(before, name))
            add(tokenizer, name, tokenizer_id(tokenizer, content));
    }
}

bool special_names_read(Tokenizer *tokenizer, const TokenizerFiles *files, Err *err)
{
    const json_t *const all[] = { files->config, files->specials };
    for (size_t i = 0; i < 2; i++)
        if (all[i] && !json_is_object(all[i]))
            return err_set(err, ERR_INPUT, "%s is not a JSON object",
                           i == 0 ? "tokenizer_config.json" : "special_tokens_map.json");
    read_names(tokenizer, files->config, NULL);
    read_names(tokenizer, files->specials, files->config);
    return true;
}

void special_names_release(Tokenizer *tokenizer)
{
    for (size_t i = 0; i < tokenizer->named_count; i++)
        free(tokenizer->named[i].name);
    free(tokenizer->named);
    tokenizer->named = NULL;
    tokenizer->named_count = 0;
}
