/* records_squad - SQuAD's own file: {"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}. It is
 * walked over as text, so that each question has its line, and a paragraph at a time is parsed. */
#include "worker/data/records_parts.h"

#include <string.h>

/* A place in the file. */
typedef struct Walk {
    RecordReader *reader;
    const Source *source;
    size_t at;
    int64_t line;
} Walk;

typedef bool (*WalkVisit)(void *self, Walk value, const char *key, size_t n);

static bool fault(const Walk *w, const char *what)
{
    err_set(w->reader->err, ERR_INPUT, "%s", what);
    return err_at(w->reader->err, "%s:%lld", w->reader->path, (long long)w->line);
}

/* The letter at the place, behind blanks; 0: the file ends. */
static char next(Walk *w)
{
    const Source *s = w->source;
    for (; w->at < s->size && strchr(" \t\r\n", s->data[w->at]) && s->data[w->at]; w->at++)
        w->line += s->data[w->at] == '\n';
    return w->at < s->size ? s->data[w->at] : '\0';
}

/* [*from, *from + *n) is what stands between the quotes, escapes as they are. */
static bool walk_string(Walk *w, const char **from, size_t *n)
{
    const Source *s = w->source;
    if (next(w) != '"')
        return fault(w, "a name in quotes is missing");
    const size_t begin = ++w->at;
    for (; w->at < s->size && s->data[w->at] != '"'; w->at++) {
        w->line += s->data[w->at] == '\n';
        w->at += s->data[w->at] == '\\' && w->at + 1 < s->size;
    }
    if (w->at >= s->size)
        return fault(w, "a text is never closed");
    *from = s->data + begin;
    *n = w->at++ - begin;
    return true;
}

/* Behind the value. */
static bool walk_value(Walk *w)
{
    const char *text;
    size_t n;
    int64_t depth = 0;
    do {
        const char c = next(w);
        if (c == '\0')
            return fault(w, "the file ends within a value");
        if (c == '"') {
            if (!walk_string(w, &text, &n))
                return false;
            continue;
        }
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (depth < 0)
            return fault(w, "a value is missing");
        w->at++;
        if (!strchr("{}[],:", c)) /* a number, a word */
            while (w->at < w->source->size && w->source->data[w->at] &&
                   !strchr("{}[],:\" \t\r\n", w->source->data[w->at]))
                w->at++;
    } while (depth > 0);
    return true;
}

/* The members of an object, or the items of a list, whose key is empty. */
static bool walk_each(Walk w, char open, WalkVisit visit, void *self)
{
    const char close = open == '{' ? '}' : ']';
    if (next(&w) != open)
        return fault(&w, open == '{' ? "an object is expected here" : "a list is expected here");
    w.at++;
    if (next(&w) == close)
        return true;
    for (;;) {
        const char *key = "";
        size_t n = 0;
        if (open == '{') {
            if (!walk_string(&w, &key, &n))
                return false;
            if (next(&w) != ':')
                return fault(&w, "a ':' is missing");
            w.at++;
        }
        next(&w);
        if (!visit(self, w, key, n) || !walk_value(&w))
            return false;
        const char c = next(&w);
        if (c == close)
            return true;
        if (c != ',')
            return fault(&w, "a ',' is missing, or the end of the list or object");
        w.at++;
    }
}

static bool is_key(const char *key, size_t n, const char *name)
{
    return n == strlen(name) && memcmp(key, name, n) == 0;
}

/* ---- questions ------------------------------------------------------------------------- */

typedef struct Paragraph {
    const json_t *value;
    size_t i; /* the next question */
} Paragraph;

static const char *text_of(const json_t *object, const char *key, size_t *n, Err *bad)
{
    const json_t *v = json_object_get(object, key);
    if (bad->kind == ERR_NONE && !json_is_string(v))
        err_set(bad, ERR_INPUT, v ? "field '%s' is not a string" : "no field '%s'", key);
    *n = json_is_string(v) ? json_string_length(v) : 0;
    return json_is_string(v) ? json_string_value(v) : "";
}

static bool give_question(void *self, Walk w, const char *key, size_t n)
{
    Paragraph *p = self;
    const json_t *qa = json_array_get(json_object_get(p->value, "qas"), p->i++);
    const RecordColumns *c = w.reader->columns;
    Record r = { .file = w.reader->path, .line = w.line };
    Err bad = { 0 };
    (void)key;
    (void)n;
    r.text = text_of(qa, "question", &r.text_size, &bad);
    r.pair = text_of(p->value, "context", &r.pair_size, &bad);
    r.id = json_object_get(qa, "id");
    r.label_json = c->label ? json_object_get(qa, "answers") : NULL;
    if (bad.kind == ERR_NONE && c->label && c->labelled && !r.label_json)
        err_set(&bad, ERR_INPUT, "no field 'answers'");
    return records_give(w.reader, &r, &bad);
}

static bool find_questions(void *self, Walk w, const char *key, size_t n)
{
    return !is_key(key, n, "qas") || walk_each(w, '[', give_question, self);
}

static bool give_paragraph(void *self, Walk w, const char *key, size_t n)
{
    Walk end = w;
    json_error_t error;
    (void)self;
    (void)key;
    (void)n;
    if (!walk_value(&end))
        return false;
    json_t *value = json_loadb(w.source->data + w.at, end.at - w.at, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!value) {
        w.line += error.line > 1 ? error.line - 1 : 0;
        return fault(&w, error.text);
    }
    Paragraph p = { .value = value };
    const bool ok = walk_each(w, '{', find_questions, &p);
    json_decref(value);
    return ok;
}

static bool find_paragraphs(void *self, Walk w, const char *key, size_t n)
{
    return !is_key(key, n, "paragraphs") || walk_each(w, '[', give_paragraph, self);
}

static bool give_article(void *self, Walk w, const char *key, size_t n)
{
    (void)key;
    (void)n;
    return walk_each(w, '{', find_paragraphs, self);
}

static bool find_articles(void *self, Walk w, const char *key, size_t n)
{
    return !is_key(key, n, "data") || walk_each(w, '[', give_article, self);
}

/* Whether there is a list of that name. */
static bool note_data(void *self, Walk w, const char *key, size_t n)
{
    bool *is = self;
    *is = *is || (is_key(key, n, "data") && next(&w) == '[');
    return true;
}

bool records_is_squad(const RecordReader *reader, const Source *source)
{
    Err none = { 0 };
    RecordReader quiet = *reader;
    quiet.err = &none;
    bool is = false;
    const Walk w = { &quiet, source, 0, 1 };
    return (walk_each(w, '{', note_data, &is) || is) && is;
}

bool records_squad(RecordReader *reader, const Source *source)
{
    return walk_each((Walk){ reader, source, 0, 1 }, '{', find_articles, NULL);
}
