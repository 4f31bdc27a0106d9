/* records_json - .jsonl files: a JSON object a line. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/data/records_parts.h"

#include <stdlib.h>
#include <string.h>

/* Room for the words of a row, used again for the next. */
typedef struct Words {
    const char **text, **tags;
    size_t *size;
    char (*numbers)[24]; /* of tags that are written as class numbers */
    size_t room;
} Words;

static void words_reserve(Words *w, size_t count)
{
    if (count <= w->room)
        return;
    w->room = count > 2 * w->room ? count : 2 * w->room;
    w->text = xrealloc(w->text, w->room * sizeof *w->text);
    w->tags = xrealloc(w->tags, w->room * sizeof *w->tags);
    w->size = xrealloc(w->size, w->room * sizeof *w->size);
    w->numbers = xrealloc(w->numbers, w->room * sizeof *w->numbers);
}

static void words_release(Words *w)
{
    free(w->text);
    free(w->tags);
    free(w->size);
    free(w->numbers);
}

/* ---- fields --------------------------------------------------------------------- */

static const char *field_keys(const RecordColumns *c)
{
    switch (c->kind) {
    case ROWS_WORDS:
        return "data.tokens and data.tags name the fields";
    case ROWS_COMPLETIONS:
        return "data.prompt and data.completion name the fields";
    case ROWS_MESSAGES:
        return "data.messages names the field";
    case ROWS_TEXTS:
    case ROWS_BLOCKS:
        return "data.text names the field; or set data.prompt and data.completion, or data.messages";
    case ROWS_LABELLED:
    case ROWS_IMAGES:
        break;
    }
    return "data.text, data.text_pair and data.label name the fields";
}

static const char *text_field(const json_t *row, const char *key, const RecordColumns *c, size_t *n, Err *bad)
{
    const json_t *v = key ? json_object_get(row, key) : NULL;
    if (!key || bad->kind != ERR_NONE)
        return NULL;
    if (!json_is_string(v)) {
        err_set(bad, ERR_INPUT, v ? "field '%s' is not a string" : "no field '%s'", key);
        err_hint(bad, "%s", field_keys(c));
        return NULL;
    }
    *n = json_string_length(v);
    return json_string_value(v);
}

static const json_t *list_field(const json_t *row, const char *key, const RecordColumns *c, Err *bad)
{
    const json_t *v = json_object_get(row, key);
    if (json_is_array(v) && json_array_size(v) > 0)
        return v;
    err_set(bad, ERR_INPUT, !v ? "no field '%s'" : json_is_array(v) ? "field '%s' is empty" : "field '%s' is not a list",
            key);
    err_hint(bad, "%s", field_keys(c));
    return NULL;
}

/* ---- rows ------------------------------------------------------------------------ */

static bool fill_tags(Words *w, const json_t *tags, const RecordColumns *c, size_t count, Err *bad)
{
    if (json_array_size(tags) != count)
        return err_set(bad, ERR_INPUT, "%zu tags for %zu words", json_array_size(tags), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *tag = json_array_get(tags, i);
        if (json_is_integer(tag))
            snprintf(w->numbers[i], sizeof w->numbers[i], "%lld", (long long)json_integer_value(tag));
        else if (!json_is_string(tag))
            return err_set(bad, ERR_INPUT, "item %zu of '%s' is neither a name nor a class number", i + 1, c->tags);
        w->tags[i] = json_is_string(tag) ? json_string_value(tag) : w->numbers[i];
    }
    return true;
}

static bool fill_words(Record *r, Words *w, const json_t *row, const RecordColumns *c, Err *bad)
{
    const json_t *words = list_field(row, c->tokens, c, bad);
    const json_t *tags = words && c->labelled ? list_field(row, c->tags, c, bad) : NULL;
    if (!words || (c->labelled && !tags))
        return false;
    const size_t count = json_array_size(words);
    words_reserve(w, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *word = json_array_get(words, i);
        if (!json_is_string(word))
            return err_set(bad, ERR_INPUT, "item %zu of '%s' is not a string", i + 1, c->tokens);
        w->text[i] = json_string_value(word);
        w->size[i] = json_string_length(word);
    }
    if (tags && !fill_tags(w, tags, c, count, bad))
        return false;
    r->words = (WordList){ w->text, w->size, (int64_t)count };
    r->tags = tags ? w->tags : NULL;
    return true;
}

static void fill_texts(Record *r, char label[64], const json_t *row, const RecordColumns *c, Err *bad)
{
    r->text = text_field(row, c->text, c, &r->text_size, bad);
    r->pair = text_field(row, c->pair, c, &r->pair_size, bad);
    const json_t *v = c->label ? json_object_get(row, c->label) : NULL;
    if (!v && c->label && c->labelled && bad->kind == ERR_NONE)
        err_set(bad, ERR_INPUT, "no field '%s'", c->label);
    r->label_json = v;
    if (json_is_integer(v))
        snprintf(label, 64, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(label, 64, "%.17g", json_real_value(v));
    r->label = json_is_string(v) ? json_string_value(v) : label[0] ? label : NULL;
}

static bool give_line(RecordReader *reader, Words *w, const char *line, size_t n, int64_t number)
{
    const RecordColumns *c = reader->columns;
    Record r = { .text = "", .file = reader->path, .line = number };
    Err bad = { 0 };
    json_error_t fault;
    json_t *row = json_loadb(line, n, JSON_REJECT_DUPLICATES, &fault);
    char label[64] = "";
    if (!json_is_object(row))
        err_set(&bad, ERR_INPUT, "not a JSON object: %s", row ? "another kind of value" : fault.text);
    else if (c->kind == ROWS_WORDS)
        fill_words(&r, w, row, c, &bad);
    else if (c->kind == ROWS_MESSAGES)
        r.messages = list_field(row, c->messages, c, &bad);
    else
        fill_texts(&r, label, row, c, &bad);
    if (bad.kind != ERR_NONE)
        r.text = "", r.text_size = 0;
    const bool ok = records_give(reader, &r, &bad);
    json_decref(row);
    return ok;
}

bool records_jsonl(RecordReader *reader)
{
    FileMap map;
    if (!file_map(&map, reader->path, reader->err))
        return false;
    bool ok = true;
    Words words = { 0 };
    int64_t line = 0;
    for (size_t at = 0; ok && at < map.size;) {
        const char *end = memchr(map.data + at, '\n', map.size - at);
        const size_t n = end ? (size_t)(end - map.data) - at : map.size - at;
        line++;
        if (n > 0 && !(n == 1 && map.data[at] == '\r'))
            ok = give_line(reader, &words, map.data + at, n, line);
        at += n + 1;
    }
    words_release(&words);
    file_unmap(&map);
    return ok;
}
