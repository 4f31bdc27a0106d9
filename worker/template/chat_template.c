#include "worker/template/chat_template.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/template/render.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct ChatTemplate {
    Pool pool; /* of the tree and the special tokens */
    TemplateNode *tree;
    char *where;
    Value tokens; /* a dict */
};

/* ---- opening ---------------------------------------------------------------------- */

ChatTemplate *chat_template_parse(const char *source, size_t n, const char *where, Err *err)
{
    ChatTemplate *t = xcalloc(1, sizeof *t);
    t->where = xstrdup(where);
    t->tokens = value_dict(&t->pool, VALUE_DICT);
    if (text_utf8_valid(source, n) == n && memchr(source, '\0', n) == NULL) {
        if (template_parse(&t->tree, &t->pool, source, n, where, err))
            return t;
    } else {
        err_set(err, ERR_INPUT, "the chat template is not valid UTF-8");
        err_at(err, "%s", where);
    }
    chat_template_close(t);
    return NULL;
}

void chat_template_close(ChatTemplate *t)
{
    if (!t)
        return;
    pool_release(&t->pool);
    free(t->where);
    free(t);
}

/* The string of one of several named templates, NULL with *err set where there is no such. */
static const char *named_template(const json_t *list, const char *name, const char *path, Err *err)
{
    Text names = { 0 };
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *its = json_string_value(json_object_get(one, "name"));
        const char *source = json_string_value(json_object_get(one, "template"));
        if (its && source && strcmp(its, name) == 0) {
            text_release(&names);
            return source;
        }
        text_addf(&names, "%s%s", i ? ", " : "", its ? its : "?");
    }
    err_set(err, ERR_INPUT, "there is no chat template '%s' among the model's", name);
    err_hint(err, "it has: %s", names.data ? names.data : "none");
    err_at(err, "%s: chat_template", path);
    text_release(&names);
    return NULL;
}

static ChatTemplate *from_config(const json_t *config, const char *name, const char *folder, const char *path, Err *err)
{
    const json_t *value = json_object_get(config, "chat_template");
    const char *source = json_string_value(value);
    if (json_is_array(value)) {
        source = named_template(value, name ? name : "default", path, err);
        if (!source)
            return NULL;
    } else if (!source) {
        err_set(err, ERR_INPUT, "the model has no chat template");
        err_hint(err, "put its chat_template.jinja there; without one there is no telling how it "
                      "was taught to talk");
        err_at(err, "%s", config ? path : folder);
        return NULL;
    } else if (name && strcmp(name, "default") != 0) {
        err_set(err, ERR_INPUT, "there is no chat template '%s': the model has one, without a name", name);
        err_at(err, "%s: chat_template", path);
        return NULL;
    }
    char *where = xprintf("%s: chat_template", path);
    ChatTemplate *t = chat_template_parse(source, strlen(source), where, err);
    free(where);
    return t;
}

static ChatTemplate *from_file(const char *path, const char *name, Err *err)
{
    size_t n;
    if (name && strcmp(name, "default") != 0) {
        err_set(err, ERR_INPUT, "there is no chat template '%s': the model has one, without a name", name);
        err_at(err, "%s", path);
        return NULL;
    }
    char *source = file_read(path, &n, err);
    ChatTemplate *t = source ? chat_template_parse(source, n, path, err) : NULL;
    free(source);
    return t;
}

/* Names that end in _token: "x", or {"content": "x"}. What is there already stays. */
static void read_tokens(ChatTemplate *t, const json_t *config)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        const char *token = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
        if (!token || !text_ends(key, "_token") || dict_get(t->tokens.dict, key, strlen(key)))
            continue;
        dict_put(&t->pool, t->tokens.dict, value_copy(&t->pool, key, strlen(key)),
                 value_copy(&t->pool, token, strlen(token)));
    }
}

/* FOLDER/NAME as an object; *object NULL where there is no such file. */
static bool read_object(const char *path, json_t **object, Err *err)
{
    *object = NULL;
    if (!file_exists(path))
        return true;
    if (!(*object = json_file(path, err)))
        return false;
    if (json_is_object(*object))
        return true;
    err_set(err, ERR_INPUT, "this is no JSON object");
    return err_at(err, "%s", path);
}

ChatTemplate *chat_template_open(const char *folder, const char *name, Err *err)
{
    char *file = path_join(folder, "chat_template.jinja"), *config_path = path_join(folder, "tokenizer_config.json");
    char *map_path = path_join(folder, "special_tokens_map.json");
    json_t *config = NULL, *map = NULL;
    ChatTemplate *t = NULL;
    if (read_object(config_path, &config, err) && read_object(map_path, &map, err))
        t = file_exists(file) ? from_file(file, name, err) : from_config(config, name, folder, config_path, err);
    if (t) {
        read_tokens(t, config);
        read_tokens(t, map);
    }
    json_decref(config);
    json_decref(map);
    free(map_path);
    free(config_path);
    free(file);
    return t;
}

/* ---- rendering ------------------------------------------------------------------------ */

/* A message's reasoning goes by several names; templates read one or the other. As Transformers
 * does, both get what the first of them holds. */
static Value message_value(Pool *pool, const json_t *message)
{
    const char *const names[] = { "reasoning_content", "thinking", "reasoning" };
    const json_t *reasoning = NULL;
    for (int i = 0; i < 3 && !reasoning; i++) {
        const json_t *value = json_object_get(message, names[i]);
        reasoning = json_is_null(value) ? NULL : value;
    }
    if (!reasoning)
        return value_from_json(pool, message);
    const Value value = value_from_json(pool, reasoning), all = value_from_json(pool, message);
    Value out = value_dict(pool, VALUE_DICT);
    dict_put(pool, out.dict, value_text("thinking"), value);
    for (int64_t i = 0; i < all.dict->count; i++)
        dict_put(pool, out.dict, all.dict->keys[i], all.dict->values[i]);
    dict_put(pool, out.dict, value_text("reasoning_content"), value);
    return out;
}

static void set(Rendering *r, const char *name, Value value)
{
    dict_put(r->pool, r->globals.dict, value_text(name), value);
}

/* The variables of a rendering of messages[0, count). */
static void set_variables(Rendering *r, const ChatTemplate *t, const json_t *messages, size_t count,
                          const ChatOptions *o)
{
    const Dict *tokens = t->tokens.dict;
    r->globals = value_dict(r->pool, VALUE_DICT);
    for (int64_t i = 0; i < tokens->count; i++)
        dict_put(r->pool, r->globals.dict, tokens->keys[i], tokens->values[i]);
    if (o->bos)
        set(r, "bos_token", value_text(o->bos));
    if (o->eos)
        set(r, "eos_token", value_text(o->eos));
    Value list = value_list(r->pool, VALUE_LIST);
    for (size_t i = 0; i < count; i++)
        list_add(r->pool, list.list, message_value(r->pool, json_array_get(messages, i)));
    set(r, "messages", list);
    set(r, "tools", o->tools ? value_from_json(r->pool, o->tools) : (Value){ .kind = VALUE_NONE });
    set(r, "documents", (Value){ .kind = VALUE_NONE });
    set(r, "add_generation_prompt", value_bool(o->add_generation_prompt));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)o->variables, key, value) set(r, key, value_from_json(r->pool, value));
}

/* Renders messages[0, count); *parts are the {% generation %} ones, NULL: nobody asks. */
static bool render(const ChatTemplate *t, const json_t *messages, size_t count, const ChatOptions *o, Text *out,
                   ChatRange **parts, int64_t *part_count, Err *err)
{
    Pool pool = { 0 };
    Rendering r = {
        .pool = &pool, .where = t->where, .now = o->now ? (time_t)o->now : time(NULL), .err = err, .out = out
    };
    text_clear(out);
    set_variables(&r, t, messages, count, o);
    const bool ok = template_render(&r, t->tree);
    pool_release(&pool);
    if (parts && ok) {
        *part_count = r.part_count;
        *parts = xcalloc((size_t)r.part_count + 1, sizeof **parts);
        for (int64_t i = 0; i < r.part_count; i++)
            (*parts)[i] = (ChatRange){ r.parts[i].begin, r.parts[i].end };
    }
    free(r.parts);
    return ok;
}

static bool check_messages(const json_t *messages, Err *err)
{
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return err_set(err, ERR_INPUT, "a conversation is a list of at least one message");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *one = json_array_get(messages, i);
        if (!json_is_object(one) || !json_is_string(json_object_get(one, "role"))) {
            err_set(err, ERR_INPUT, "message %zu of the conversation is no object with a \"role\"", i + 1);
            return err_hint(err, "messages look like {\"role\": \"user\", \"content\": \"Hello\"}");
        }
    }
    return true;
}

json_t *chat_with_system(const json_t *messages, const char *system)
{
    const char *first = json_string_value(json_object_get(json_array_get(messages, 0), "role"));
    json_t *out = json_array();
    if (system && !(first && (strcmp(first, "system") == 0 || strcmp(first, "developer") == 0)))
        json_array_append_new(out, json_pack("{s:s, s:s}", "role", "system", "content", system));
    json_array_extend(out, (json_t *)(uintptr_t)messages);
    return out;
}

bool chat_template_render(const ChatTemplate *t, const json_t *messages, const ChatOptions *o, Text *out, Err *err)
{
    return check_messages(messages, err) && render(t, messages, json_array_size(messages), o, out, NULL, NULL, err);
}

/* ---- the assistant's parts ---------------------------------------------------------------- */

static bool starts(const Text *whole, const Text *part)
{
    return part->size <= whole->size && memcmp(whole->data, part->data, part->size) == 0;
}

/* What message `i` adds: from the end of the prompt for it to the end of the text with it. */
static bool message_range(const ChatTemplate *t, const json_t *messages, size_t i, const ChatOptions *o,
                          const Text *whole, ChatRange *range, Err *err)
{
    Text before = { 0 }, with = { 0 };
    ChatOptions prompt = *o;
    prompt.add_generation_prompt = true;
    bool ok = render(t, messages, i, &prompt, &before, NULL, NULL, err) &&
              render(t, messages, i + 1, o, &with, NULL, NULL, err);
    if (ok && (!starts(&with, &before) || !starts(whole, &with))) {
        err_set(err, ERR_INPUT,
                "the chat template writes message %zu otherwise when others follow, so what the "
                "assistant says cannot be told from the rest",
                i + 1);
        err_hint(err, "put {%% generation %%} and {%% endgeneration %%} around it in a chat_template.jinja");
        ok = err_at(err, "%s", t->where);
    }
    *range = (ChatRange){ before.size, with.size };
    text_release(&before);
    text_release(&with);
    return ok;
}

bool chat_template_ranges(const ChatTemplate *t, const json_t *messages, const ChatOptions *o, Text *out,
                          ChatRange **ranges, int64_t *count, Err *err)
{
    ChatOptions plain = *o;
    plain.add_generation_prompt = false;
    *ranges = NULL;
    *count = 0;
    if (!check_messages(messages, err))
        return false;
    const size_t all = json_array_size(messages);
    if (!render(t, messages, all, &plain, out, ranges, count, err))
        return false;
    if (*count > 0)
        return true;
    *ranges = xrealloc(*ranges, all * sizeof **ranges);
    for (size_t i = 0; i < all; i++) {
        const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
        if (strcmp(role, "assistant") != 0)
            continue;
        if (!message_range(t, messages, i, &plain, out, *ranges + *count, err)) {
            free(*ranges);
            *ranges = NULL;
            return false;
        }
        ++*count;
    }
    return true;
}
