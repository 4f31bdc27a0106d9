/* records_json - .jsonl and .json files: a list of JSON objects, or an object a line. Values are what Python's
 * json module makes of them: \u0000 is a letter, whole numbers have no largest; only that two fields of one
 * name are an error. */
#include "common/base/mem.h"
#include "worker/data/records_parts.h"

#include <stdlib.h>
#include <string.h>

/* A whole number above 64 bits is read as an object of this one field, its digits. */
#define HUGE_KEY "\x01whole number"

enum { NUMBER_ROOM = 400 }; /* of a number as text; huge ones are not copied */

/* What a row is read into, used again for the next. */
typedef struct JsonRow {
    RecordReader *reader;
    const char **text, **tags; /* [room] words */
    size_t *size;
    char (*numbers)[24]; /* of tags that are written as class numbers */
    size_t room;
    char number[NUMBER_ROOM];
    Text filled, plain; /* the form of the row; the row without huge numbers */
    const json_t *row;
} JsonRow;

static void words_reserve(JsonRow *w, size_t count)
{
    if (count <= w->room)
        return;
    w->room = count > 2 * w->room ? count : 2 * w->room;
    w->text = xrealloc(w->text, w->room * sizeof *w->text);
    w->tags = xrealloc(w->tags, w->room * sizeof *w->tags);
    w->size = xrealloc(w->size, w->room * sizeof *w->size);
    w->numbers = xrealloc(w->numbers, w->room * sizeof *w->numbers);
}

static void rows_free(JsonRow *w)
{
    free(w->text);
    free(w->tags);
    free(w->size);
    free(w->numbers);
    text_release(&w->filled);
    text_release(&w->plain);
}

/* ---- values as text ---------------------------------------------------------------- */

/* The shortest decimal that reads back to v, as Python's repr: 0.5, 2.0, 1e-07. */
static void print_real(char room[NUMBER_ROOM], double v)
{
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(room, NUMBER_ROOM, "%.*g", precision, v);
        if (strtod(room, NULL) == v)
            break;
    }
    if (strstr(room, "e+") && v < 1e16 && v > -1e16)
        snprintf(room, NUMBER_ROOM, "%.0f", v);
    if (!strpbrk(room, ".en"))
        strcat(room, ".0");
}

/* What str() makes of a string, number or truth value; NULL: it is another kind. Lent by v or room. */
static const char *scalar_text(const json_t *v, char room[NUMBER_ROOM], size_t *n)
{
    const json_t *huge = json_object_get(v, HUGE_KEY);
    v = huge ? huge : v;
    if (json_is_string(v)) {
        *n = json_string_length(v);
        return json_string_value(v);
    }
    if (json_is_integer(v))
        snprintf(room, NUMBER_ROOM, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        print_real(room, json_real_value(v));
    else if (json_is_boolean(v))
        snprintf(room, NUMBER_ROOM, "%s", json_is_true(v) ? "True" : "False");
    else
        return NULL;
    *n = strlen(room);
    return room;
}

/* ---- fields --------------------------------------------------------------------- */

static const char *field_keys(const RecordColumns *c)
{
    switch (c->kind) {
    case ROWS_WORDS:
        return "data.tokens and data.tags name the fields";
    case ROWS_COMPLETIONS:
    case ROWS_SOURCES:
        return "data.prompt and data.completion name the fields";
    case ROWS_MESSAGES:
        return "data.messages names the field";
    case ROWS_TEXTS:
    case ROWS_BLOCKS:
        return "data.text names the field; or set data.prompt and data.completion, or data.messages";
    case ROWS_COLUMNS:
        return "data.columns and data.score name the fields";
    case ROWS_QUESTIONS:
        return "data.question, data.context and data.answers name the fields";
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
    err_set(bad, ERR_INPUT,
            !v                 ? "no field '%s'"
            : json_is_array(v) ? "field '%s' is empty"
                               : "field '%s' is not a list",
            key);
    err_hint(bad, "%s", field_keys(c));
    return NULL;
}

/* A field of the form; null is an empty text. */
static bool form_field(void *self, const char *name, const char **text, size_t *n, Err *err)
{
    JsonRow *w = self;
    const json_t *v = json_object_get(w->row, name);
    if (v)
        *text = json_is_null(v) ? "" : scalar_text(v, w->number, n);
    return !v || *text || err_set(err, ERR_INPUT, "field '%s' is neither a text nor a number", name);
}

/* ---- rows ------------------------------------------------------------------------ */

static bool fill_tags(JsonRow *w, const json_t *tags, const RecordColumns *c, size_t count, Err *bad)
{
    if (json_array_size(tags) != count)
        return err_set(bad, ERR_INPUT, "%zu tags for %zu words", json_array_size(tags), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *tag = json_array_get(tags, i);
        if (json_is_integer(tag))
            snprintf(w->numbers[i], sizeof w->numbers[i], "%lld", (long long)json_integer_value(tag));
        else if (!json_is_string(tag) || strlen(json_string_value(tag)) < json_string_length(tag))
            return err_set(bad, ERR_INPUT, "item %zu of '%s' is neither a name nor a class number", i + 1, c->tags);
        w->tags[i] = json_is_string(tag) ? json_string_value(tag) : w->numbers[i];
    }
    return true;
}

static bool fill_words(Record *r, JsonRow *w, const json_t *row, const RecordColumns *c, Err *bad)
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

/* The field c->label, where there is one. */
static void fill_label(Record *r, JsonRow *w, const json_t *row, const RecordColumns *c, Err *bad)
{
    const json_t *v = c->label ? json_object_get(row, c->label) : NULL;
    if (!v && c->label && c->labelled && bad->kind == ERR_NONE)
        err_set(bad, ERR_INPUT, "no field '%s'", c->label);
    r->label_json = v;
    r->label = v ? scalar_text(v, w->number, &r->label_size) : NULL;
}

static void fill_columns(Record *r, JsonRow *w, const json_t *row, const RecordColumns *c, Err *bad)
{
    words_reserve(w, (size_t)c->texts->count);
    for (int i = 0; i < c->texts->count; i++)
        w->text[i] = text_field(row, c->texts->items[i], c, &w->size[i], bad);
    fill_label(r, w, row, c, bad);
    r->words = (WordList){ w->text, w->size, bad->kind == ERR_NONE ? c->texts->count : 0 };
}

static void fill_texts(Record *r, JsonRow *w, const json_t *row, const RecordColumns *c, Err *bad)
{
    r->text = text_field(row, c->text, c, &r->text_size, bad);
    r->pair = text_field(row, c->pair, c, &r->pair_size, bad);
    fill_label(r, w, row, c, bad);
    if (c->form && bad->kind == ERR_NONE)
        records_fill(r, &w->filled, c, form_field, w, bad);
    r->id = c->kind == ROWS_QUESTIONS ? json_object_get(row, "id") : NULL;
}

/* ---- one object ------------------------------------------------------------------ */

/* The object without whole numbers that Jansson has no room for. */
static void without_huge(Text *out, const char *json, size_t n)
{
    bool string = false;
    text_clear(out);
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (!string && k < n && (json[k] == '-' || (json[k] >= '0' && json[k] <= '9')))
            k++;
        const bool whole =
            k - i > 18 && (k == n || !strchr(".eE", json[k])) && (i == 0 || !strchr(".eE+", json[i - 1]));
        if (whole) {
            text_addf(out,
                      "{\""
                      "\\u0001%s\": \"%.*s\"}",
                      &HUGE_KEY[1], (int)(k - i), json + i);
            i = k;
            continue;
        }
        if (k > i) {
            text_add(out, json + i, k - i);
            i = k;
            continue;
        }
        if (json[i] == '\\' && string && i + 1 < n)
            text_add(out, json + i++, 1);
        else if (json[i] == '"')
            string = !string;
        text_add(out, json + i++, 1);
    }
}

static json_t *parse(JsonRow *w, const char *json, size_t n, json_error_t *fault)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *row = json_loadb(json, n, flags, fault);
    if (!row && json_error_code(fault) == json_error_numeric_overflow) {
        without_huge(&w->plain, json, n);
        row = json_loadb(w->plain.data, w->plain.size, flags, fault);
    }
    return row;
}

/* json[0, n) begins in line `number`. */
static bool give_object(JsonRow *w, const char *json, size_t n, int64_t number)
{
    const RecordColumns *c = w->reader->columns;
    Record r = { .text = "", .file = w->reader->path, .line = number };
    Err bad = { 0 };
    json_error_t fault = { .line = 1 };
    json_t *row = parse(w, json, n, &fault);
    w->row = row;
    if (!json_is_object(row)) {
        err_set(&bad, ERR_INPUT, "not a JSON object: %s", row ? "another kind of value" : fault.text);
        err_at(&bad, "%s:%lld", r.file, (long long)(number + (fault.line > 1 ? fault.line - 1 : 0)));
        if (json && n > 0 && json[0] == '{' && !memchr(json, '}', n))
            err_hint(&bad, "an object stands in one line; or the file is a list of objects, in [ ]");
    } else if (c->kind == ROWS_WORDS) {
        fill_words(&r, w, row, c, &bad);
    } else if (c->kind == ROWS_COLUMNS) {
        fill_columns(&r, w, row, c, &bad);
    } else if (c->kind == ROWS_MESSAGES) {
        r.messages = list_field(row, c->messages, c, &bad);
    } else {
        fill_texts(&r, w, row, c, &bad);
    }
    const json_t *by = c->by ? json_object_get(row, c->by) : NULL;
    r.by = json_string_value(by);
    r.by_size = json_string_length(by);
    if (bad.kind != ERR_NONE || !r.text)
        r.text = "", r.text_size = 0;
    const bool ok = records_give(w->reader, &r, &bad);
    json_decref(row);
    return ok;
}

/* ---- files ------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool read_lines(JsonRow *w, const Source *source)
{
    bool ok = true;
    int64_t line = 0;
    size_t at = 0, n;
    for (const char *text; ok && (text = source_line(source, &at, &n));) {
        line++;
        while (n > 0 && is_blank(text[n - 1]))
            n--;
        if (n > 0)
            ok = give_object(w, text, n, line);
    }
    return ok;
}

/* Where the value at `at` ends: at the comma or bracket behind it, or at the end of the file. Lines on
 * the way are counted. */
static size_t value_end(const Source *source, size_t at, int64_t *line)
{
    bool string = false;
    int64_t depth = 0;
    for (; at < source->size; at++) {
        const char c = source->data[at];
        *line += c == '\n';
        if (string) {
            if (c == '\\' && at + 1 < source->size && source->data[at + 1] != '\n')
                at++;
            string = c != '"';
        } else if (depth == 0 && (c == ',' || c == ']')) {
            break;
        } else {
            string = c == '"';
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        }
    }
    return at;
}

static size_t skip_blanks(const Source *source, size_t at, int64_t *line)
{
    for (; at < source->size && is_blank(source->data[at]); at++)
        *line += source->data[at] == '\n';
    return at;
}

static bool list_fault(const JsonRow *w, const char *what, int64_t line)
{
    err_set(w->reader->err, ERR_INPUT, "%s", what);
    return err_at(w->reader->err, "%s:%lld", w->reader->path, (long long)line);
}

/* `at` is the opening bracket. */
static bool read_list(JsonRow *w, const Source *source, size_t at, int64_t line)
{
    const char *data = source->data;
    const int64_t opened = line;
    int64_t ahead = line;
    size_t end = skip_blanks(source, at + 1, &ahead);
    if (end < source->size && data[end] == ']')
        return true;
    for (end = at;;) {
        const size_t from = skip_blanks(source, end + 1, &line);
        const int64_t first = line;
        end = value_end(source, from, &line);
        size_t n = end - from;
        while (n > 0 && is_blank(data[from + n - 1]))
            n--;
        if (n == 0 && end < source->size)
            return list_fault(w, "a value is missing in the list", first);
        if (end >= source->size && n == 0)
            return list_fault(w, "the list is never closed", opened);
        if (!give_object(w, data + from, n, first))
            return false;
        if (end >= source->size)
            return list_fault(w, "the list is never closed", opened);
        if (data[end] == ']')
            break;
    }
    end = skip_blanks(source, end + 1, &line);
    return end >= source->size || list_fault(w, "there is more behind the end of the list", line);
}

bool records_json(RecordReader *reader)
{
    Source source;
    if (!source_open(&source, reader->path, reader->err))
        return false;
    JsonRow rows = { .reader = reader };
    int64_t line = 1;
    const size_t at = skip_blanks(&source, 0, &line);
    const bool list = at < source.size && source.data[at] == '[';
    const bool squad = !list && reader->columns->kind == ROWS_QUESTIONS && records_is_squad(reader, &source);
    const bool ok = list    ? read_list(&rows, &source, at, line)
                    : squad ? records_squad(reader, &source)
                            : read_lines(&rows, &source);
    rows_free(&rows);
    source_close(&source);
    return ok;
}
