#include "common/config/config_yaml.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct YamlReader {
    yaml_parser_t parser;
    const char *text;
    size_t size;
    const char *where; /* name for messages */
} YamlReader;

void yaml_release(YamlNode *node)
{
    for (int i = 0; i < node->count; i++)
        yaml_release(&node->items[i]);
    free(node->items);
    free(node->text);
    free(node->key);
    *node = (YamlNode){ 0 };
}

void yaml_scalar(YamlNode *node, const char *text, size_t n)
{
    node->kind = YAML_SCALAR;
    node->plain = true;
    node->text = xstrndup(text, n);
}

YamlNode *yaml_append(YamlNode *parent)
{
    const int n = parent->count;
    if ((n & (n - 1)) == 0) /* full at every power of two */
        parent->items = xrealloc(parent->items, (n ? 2 * (size_t)n : 1) * sizeof(YamlNode));
    parent->count++;
    parent->items[n] = (YamlNode){ 0 };
    return &parent->items[n];
}

bool yaml_is_null(const YamlNode *node)
{
    if (node->kind != YAML_SCALAR || !node->plain)
        return false;
    static const char *const words[] = { "", "~", "null", "Null", "NULL" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(node->text, words[i]) == 0)
            return true;
    return false;
}

const char *yaml_describe(const YamlNode *node, char *room, size_t size)
{
    if (node->kind == YAML_LIST)
        snprintf(room, size, "a list");
    else if (node->kind == YAML_MAP)
        snprintf(room, size, "a map");
    else if (yaml_is_null(node))
        snprintf(room, size, "nothing (null)");
    else if (strlen(node->text) <= 80)
        snprintf(room, size, "'%s'", node->text);
    else
        snprintf(room, size, "'%.*s...'", (int)text_utf8_valid(node->text, 80), node->text);
    return room;
}

/* ---- errors ---- */

static bool at_line(const YamlReader *r, size_t line, Err *err)
{
    return r->where[0] ? err_at(err, "%s:%zu", r->where, line) : err_at(err, "line %zu", line);
}

/* The line of byte `offset`, 1-based. */
static size_t line_of(const YamlReader *r, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < r->size; i++)
        line += r->text[i] == '\n';
    return line;
}

static bool indented_by_tab(const YamlReader *r, size_t line)
{
    const char *p = r->text, *end = r->text + r->size;
    for (; line > 1 && p < end; p++)
        line -= *p == '\n';
    while (p < end && *p == ' ')
        p++;
    return p < end && *p == '\t';
}

static bool syntax_error(const YamlReader *r, Err *err)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return err_set(err, ERR_MEMORY, "no memory for the YAML parser");
    if (p->error == YAML_READER_ERROR) {
        err_set(err, ERR_INPUT, "%s", p->problem ? p->problem : "unreadable text");
        return at_line(r, line_of(r, p->problem_offset), err);
    }
    const size_t line = p->problem_mark.line + 1;
    if (indented_by_tab(r, line)) {
        err_set(err, ERR_INPUT, "a tab stands in the indentation");
        err_hint(err, "YAML is indented with spaces only");
        return at_line(r, line, err);
    }
    err_set(err, ERR_INPUT, "not YAML: %s", p->problem ? p->problem : "unknown fault");
    if (p->context)
        err_hint(err, "look at column %zu: the fault was found %s of line %zu", p->problem_mark.column + 1, p->context,
                 p->context_mark.line + 1);
    return at_line(r, line, err);
}

static bool refuse(const YamlReader *r, const yaml_event_t *event, Err *err, const char *what, const char *hint)
{
    err_set(err, ERR_INPUT, "%s", what);
    err_hint(err, "%s", hint);
    return at_line(r, event->start_mark.line + 1, err);
}

/* ---- events to nodes ---- */

static bool next_event(YamlReader *r, yaml_event_t *event, Err *err)
{
    if (!yaml_parser_parse(&r->parser, event))
        return syntax_error(r, err);
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    bool ok = true;
    if (anchor || event->type == YAML_ALIAS_EVENT)
        ok = refuse(r, event, err, "anchors and aliases ('&', '*') are not supported",
                    "write the value out; a text that begins with '*' or '&' needs quotes");
    else if (tag)
        ok = refuse(r, event, err, "tags ('!') are not supported", "a text that begins with '!' needs quotes");
    if (!ok)
        yaml_event_delete(event);
    return ok;
}

static bool take_scalar(const YamlReader *r, YamlNode *node, const yaml_event_t *event, Err *err)
{
    const char *value = (const char *)event->data.scalar.value;
    const size_t n = event->data.scalar.length;
    if (memchr(value, '\0', n))
        return refuse(r, event, err, "a text holds a zero byte", "take the '\\0' out");
    yaml_scalar(node, value, n);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return true;
}

static bool take_key(const YamlReader *r, YamlNode *map, const yaml_event_t *event, YamlNode *entry, Err *err)
{
    if (event->type != YAML_SCALAR_EVENT)
        return refuse(r, event, err, "a key is not a plain word", "write it as  key: value");
    const char *key = (const char *)event->data.scalar.value;
    if (memchr(key, '\0', event->data.scalar.length))
        return refuse(r, event, err, "a key holds a zero byte", "take the '\\0' out");
    for (int i = 0; i + 1 < map->count; i++) {
        if (strcmp(map->items[i].key, key) != 0)
            continue;
        err_set(err, ERR_INPUT, "'%s' is given twice, first in line %d", key, map->items[i].line);
        err_hint(err, "keep one of the two");
        return at_line(r, event->start_mark.line + 1, err);
    }
    entry->key = xstrdup(key);
    entry->line = (int)event->start_mark.line + 1;
    return true;
}

static bool take_node(YamlReader *r, YamlNode *node, const yaml_event_t *event, int depth, Err *err);

static bool take_entry(YamlReader *r, YamlNode *parent, const yaml_event_t *event, int depth, Err *err)
{
    if (parent->kind == YAML_MAP && parent->count >= YAML_MOST_KEYS)
        return refuse(r, event, err, "a map has too many keys", "4096 are allowed");
    if (parent->count >= YAML_MOST_ITEMS)
        return refuse(r, event, err, "a list has too many items", "65536 are allowed");
    YamlNode *entry = yaml_append(parent);
    if (parent->kind == YAML_LIST)
        return take_node(r, entry, event, depth, err);
    if (!take_key(r, parent, event, entry, err))
        return false;
    yaml_event_t value;
    if (!next_event(r, &value, err))
        return false;
    const bool ok = take_node(r, entry, &value, depth, err);
    yaml_event_delete(&value);
    return ok;
}

/* The node that starts with `event`, with all below it. */
static bool take_node(YamlReader *r, YamlNode *node, const yaml_event_t *event, int depth, Err *err)
{
    if (node->line == 0)
        node->line = (int)event->start_mark.line + 1;
    if (event->type == YAML_SCALAR_EVENT)
        return take_scalar(r, node, event, err);
    if (depth >= YAML_DEPTH)
        return refuse(r, event, err, "lists and maps are nested too deeply", "no key needs more than a few levels");
    const bool map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_event_type_t end = map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    node->kind = map ? YAML_MAP : YAML_LIST;
    for (;;) {
        yaml_event_t item;
        if (!next_event(r, &item, err))
            return false;
        const bool over = item.type == end;
        const bool ok = over || take_entry(r, node, &item, depth + 1, err);
        yaml_event_delete(&item);
        if (!ok || over)
            return ok;
    }
}

static bool take_document(YamlReader *r, YamlNode *root, Err *err)
{
    int documents = 0;
    for (;;) {
        yaml_event_t event;
        if (!next_event(r, &event, err))
            return false;
        bool ok = true;
        const bool over = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && documents++ > 0)
            ok = refuse(r, &event, err, "a second document ('---') begins here", "a run file holds one document");
        else if (event.type == YAML_SCALAR_EVENT || event.type == YAML_MAPPING_START_EVENT ||
                 event.type == YAML_SEQUENCE_START_EVENT)
            ok = take_node(r, root, &event, 0, err);
        yaml_event_delete(&event);
        if (!ok || over)
            return ok;
    }
}

bool yaml_read(YamlNode *root, const char *text, size_t size, const char *where, Err *err)
{
    *root = (YamlNode){ .kind = YAML_MAP };
    YamlReader r = { .text = text, .size = size, .where = where };
    if (size > YAML_MOST_BYTES) {
        err_set(err, ERR_INPUT, "%zu bytes are too many for a run file", size);
        return err_at(err, "%s", where);
    }
    const size_t valid = text_utf8_valid(text, size);
    if (valid < size) {
        err_set(err, ERR_INPUT, "not UTF-8 text");
        err_hint(err, "save the file as UTF-8");
        return at_line(&r, line_of(&r, valid), err);
    }
    if (!yaml_parser_initialize(&r.parser))
        return err_set(err, ERR_MEMORY, "no memory for the YAML parser");
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    const bool ok = take_document(&r, root, err);
    yaml_parser_delete(&r.parser);
    if (!ok)
        yaml_release(root);
    return ok;
}
