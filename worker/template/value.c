#include "worker/template/value.h"

#include "common/base/mem.h"
#include "worker/tokenizer/unicode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ------------------------------------------------------------------ */

typedef struct PoolBlock {
    struct PoolBlock *before;
    size_t size, used;
    _Alignas(16) char data[];
} PoolBlock;

void *pool_take(Pool *pool, size_t size)
{
    enum { BLOCK = 1 << 14 };
    size = (size + 15) & ~(size_t)15;
    PoolBlock *block = pool->last;
    if (!block || block->size - block->used < size) {
        const size_t room = size > BLOCK ? size : BLOCK;
        block = xcalloc(1, sizeof *block + room);
        block->size = room;
        block->before = pool->last;
        pool->last = block;
        pool->used += room;
    }
    void *out = block->data + block->used;
    block->used += size;
    return out;
}

void pool_release(Pool *pool)
{
    while (pool->last) {
        PoolBlock *before = pool->last->before;
        free(pool->last);
        pool->last = before;
    }
    pool->used = 0;
}

/* ---- making ------------------------------------------------------------------ */

Value value_string(const char *data, size_t size)
{
    return (Value){ .kind = VALUE_STRING, .string = { data, size } };
}

Value value_text(const char *string)
{
    return value_string(string, strlen(string));
}

Value value_copy(Pool *pool, const char *data, size_t size)
{
    char *copy = pool_take(pool, size + 1);
    if (size > 0)
        memcpy(copy, data, size);
    return value_string(copy, size);
}

Value value_bool(bool truth)
{
    return (Value){ .kind = VALUE_BOOL, .whole = truth };
}

Value value_int(int64_t whole)
{
    return (Value){ .kind = VALUE_INT, .whole = whole };
}

Value value_real(double real)
{
    return (Value){ .kind = VALUE_REAL, .real = real };
}

Value value_list(Pool *pool, ValueKind kind)
{
    return (Value){ .kind = kind, .list = pool_take(pool, sizeof(List)) };
}

Value value_dict(Pool *pool, ValueKind kind)
{
    return (Value){ .kind = kind, .dict = pool_take(pool, sizeof(Dict)) };
}

static Value *grown(Pool *pool, const Value *old, int64_t count, int64_t room)
{
    Value *out = pool_take(pool, (size_t)room * sizeof *out);
    if (count > 0)
        memcpy(out, old, (size_t)count * sizeof *out);
    return out;
}

void list_add(Pool *pool, List *list, Value item)
{
    if (list->count == list->room) {
        list->room = 2 * list->room + 4;
        list->items = grown(pool, list->items, list->count, list->room);
    }
    list->items[list->count++] = item;
}

void dict_put(Pool *pool, Dict *dict, Value key, Value value)
{
    for (int64_t i = 0; i < dict->count; i++)
        if (value_equal(dict->keys[i], key)) {
            dict->values[i] = value;
            return;
        }
    if (dict->count == dict->room) {
        dict->room = 2 * dict->room + 4;
        dict->keys = grown(pool, dict->keys, dict->count, dict->room);
        dict->values = grown(pool, dict->values, dict->count, dict->room);
    }
    dict->keys[dict->count] = key;
    dict->values[dict->count++] = value;
}

const Value *dict_get(const Dict *dict, const char *key, size_t size)
{
    for (int64_t i = 0; i < dict->count; i++)
        if (dict->keys[i].string.size == size && memcmp(dict->keys[i].string.data, key, size) == 0)
            return &dict->values[i];
    return NULL;
}

Value value_from_json(Pool *pool, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT: {
        Value out = value_dict(pool, VALUE_DICT);
        const char *key;
        json_t *item;
        json_object_foreach((json_t *)(uintptr_t)json, key, item)
            dict_put(pool, out.dict, value_text(key), value_from_json(pool, item));
        return out;
    }
    case JSON_ARRAY: {
        Value out = value_list(pool, VALUE_LIST);
        for (size_t i = 0; i < json_array_size(json); i++)
            list_add(pool, out.list, value_from_json(pool, json_array_get(json, i)));
        return out;
    }
    case JSON_STRING:
        return value_string(json_string_value(json), json_string_length(json));
    case JSON_INTEGER:
        return value_int(json_integer_value(json));
    case JSON_REAL:
        return value_real(json_real_value(json));
    case JSON_TRUE:
    case JSON_FALSE:
        return value_bool(json_is_true(json));
    case JSON_NULL:
        break;
    }
    return (Value){ .kind = VALUE_NONE };
}

/* ---- asking -------------------------------------------------------------------- */

bool value_is(Value value, const char *string)
{
    return value.kind == VALUE_STRING && value.string.size == strlen(string) &&
           memcmp(value.string.data, string, value.string.size) == 0;
}

bool value_truth(Value v)
{
    switch (v.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
    case VALUE_INT:
        return v.whole != 0;
    case VALUE_REAL:
        return v.real != 0;
    case VALUE_STRING:
        return v.string.size > 0;
    case VALUE_LIST:
    case VALUE_TUPLE:
        return v.list->count > 0;
    case VALUE_DICT:
        return v.dict->count > 0;
    case VALUE_NAMESPACE:
    case VALUE_LOOP:
    case VALUE_MACRO:
    case VALUE_FUNCTION:
        break;
    }
    return true;
}

bool value_number(Value value, double *number)
{
    if (value.kind == VALUE_REAL)
        *number = value.real;
    else if (value.kind == VALUE_INT || value.kind == VALUE_BOOL)
        *number = (double)value.whole;
    else
        return false;
    return true;
}

static bool is_whole(Value value)
{
    return value.kind == VALUE_INT || value.kind == VALUE_BOOL;
}

bool value_equal(Value a, Value b)
{
    double x, y;
    if (is_whole(a) && is_whole(b))
        return a.whole == b.whole;
    if (value_number(a, &x))
        return value_number(b, &y) && x == y;
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case VALUE_STRING:
        return a.string.size == b.string.size &&
               (a.string.size == 0 || memcmp(a.string.data, b.string.data, a.string.size) == 0);
    case VALUE_LIST:
    case VALUE_TUPLE:
        for (int64_t i = 0; i < a.list->count && i < b.list->count; i++)
            if (!value_equal(a.list->items[i], b.list->items[i]))
                return false;
        return a.list->count == b.list->count;
    case VALUE_DICT:
        for (int64_t i = 0; i < a.dict->count; i++) {
            const Value key = a.dict->keys[i];
            const Value *other = dict_get(b.dict, key.string.data, key.string.size);
            if (!other || !value_equal(a.dict->values[i], *other))
                return false;
        }
        return a.dict->count == b.dict->count;
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return true;
    default:
        return a.list == b.list; /* the very same object */
    }
}

bool value_order(Value a, Value b, int *order)
{
    double x, y;
    if (is_whole(a) && is_whole(b)) {
        *order = (a.whole > b.whole) - (a.whole < b.whole);
        return true;
    }
    if (value_number(a, &x) && value_number(b, &y)) {
        *order = (x > y) - (x < y);
        return true;
    }
    if (a.kind == VALUE_STRING && b.kind == VALUE_STRING) {
        const size_t least = a.string.size < b.string.size ? a.string.size : b.string.size;
        const int bytes = least ? memcmp(a.string.data, b.string.data, least) : 0;
        *order = bytes ? (bytes > 0) - (bytes < 0) : (a.string.size > b.string.size) - (a.string.size < b.string.size);
        return true;
    }
    if (a.kind != b.kind || (a.kind != VALUE_LIST && a.kind != VALUE_TUPLE))
        return false;
    for (int64_t i = 0; i < a.list->count && i < b.list->count; i++)
        if (!value_equal(a.list->items[i], b.list->items[i]))
            return value_order(a.list->items[i], b.list->items[i], order);
    *order = (a.list->count > b.list->count) - (a.list->count < b.list->count);
    return true;
}

int64_t utf8_count(const char *data, size_t size)
{
    int64_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)data[i] & 0xC0) != 0x80;
    return count;
}

size_t utf8_offset(const char *data, size_t size, int64_t at)
{
    size_t i = 0;
    for (; i < size; i++)
        if (((unsigned char)data[i] & 0xC0) != 0x80 && at-- == 0)
            break;
    return i;
}

const char *value_type(Value value)
{
    const char *const names[] = { "undefined", "NoneType", "bool",      "int",  "float", "str",     "list",
                                  "tuple",     "dict",     "namespace", "loop", "macro", "function" };
    return names[value.kind];
}

/* ---- writing -------------------------------------------------------------------- */

/* Python's repr of a float: the shortest digits that read back as it. */
static void write_real(Text *out, double real)
{
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision - 1, real);
        if (strtod(digits, NULL) == real)
            break;
    }
    const char *e = strchr(digits, 'e');
    const int exponent = e ? (int)strtol(e + 1, NULL, 10) : 0;
    if (e && (exponent < -4 || exponent >= 16)) {
        text_adds(out, digits); /* C and Python both write two digits of exponent at least */
        return;
    }
    const int mantissa = e ? (int)(e - digits) - (digits[0] == '-') : 1;
    const int decimals = mantissa > 1 ? mantissa - 2 - exponent : -exponent;
    if (e)
        text_addf(out, "%.*f", decimals > 1 ? decimals : 1, real);
    else
        text_adds(out, digits); /* inf, nan */
}

/* Python's repr of a string. Characters that str.isprintable denies are known here as Cc, Cf, Co,
 * separators; what is not assigned passes as printable. */
static void write_quoted(Text *out, const char *data, size_t size)
{
    const bool apostrophe = memchr(data, '\'', size) && !memchr(data, '"', size);
    const char quote = apostrophe ? '"' : '\'';
    text_add(out, &quote, 1);
    for (size_t i = 0; i < size;) {
        const size_t from = i;
        const int32_t c = unicode_next(data, &i);
        if (c == quote || c == '\\')
            text_addf(out, "\\%c", (int)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            text_addf(out, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c == ' ' || (!unicode_is_other(c) && !unicode_is_space(c)))
            text_add(out, data + from, i - from);
        else
            text_addf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
    }
    text_add(out, &quote, 1);
}

static void write_inner(Text *out, Value value)
{
    if (value.kind == VALUE_STRING)
        write_quoted(out, value.string.data, value.string.size);
    else if (value.kind == VALUE_UNDEFINED)
        text_adds(out, "Undefined");
    else
        value_write(out, value);
}

static void write_list(Text *out, const List *list, bool tuple)
{
    text_adds(out, tuple ? "(" : "[");
    for (int64_t i = 0; i < list->count; i++) {
        text_adds(out, i ? ", " : "");
        write_inner(out, list->items[i]);
    }
    text_adds(out, !tuple ? "]" : list->count == 1 ? ",)" : ")");
}

void value_write(Text *out, Value v)
{
    switch (v.kind) {
    case VALUE_UNDEFINED:
        return;
    case VALUE_NONE:
        text_adds(out, "None");
        return;
    case VALUE_BOOL:
        text_adds(out, v.whole ? "True" : "False");
        return;
    case VALUE_INT:
        text_addf(out, "%lld", (long long)v.whole);
        return;
    case VALUE_REAL:
        write_real(out, v.real);
        return;
    case VALUE_STRING:
        text_add(out, v.string.data, v.string.size);
        return;
    case VALUE_LIST:
    case VALUE_TUPLE:
        write_list(out, v.list, v.kind == VALUE_TUPLE);
        return;
    case VALUE_DICT:
        text_adds(out, "{");
        for (int64_t i = 0; i < v.dict->count; i++) {
            text_adds(out, i ? ", " : "");
            write_inner(out, v.dict->keys[i]);
            text_adds(out, ": ");
            write_inner(out, v.dict->values[i]);
        }
        text_adds(out, "}");
        return;
    case VALUE_NAMESPACE: /* may hold itself */
    case VALUE_LOOP:
    case VALUE_MACRO:
    case VALUE_FUNCTION:
        text_addf(out, "<%s>", value_type(v));
        return;
    }
}

static void dump_string(Text *out, const char *data, size_t size, bool ascii)
{
    text_adds(out, "\"");
    for (size_t i = 0; i < size;) {
        const size_t from = i;
        const int32_t c = unicode_next(data, &i);
        const char *special = "\"\\\n\r\t\f\b", *at = c < 0x80 && c ? strchr(special, (int)c) : NULL;
        if (at)
            text_addf(out, "\\%c", "\"\\nrtfb"[at - special]);
        else if (c >= 0x10000 && ascii)
            text_addf(out, "\\u%04x\\u%04x", 0xD800U + (((unsigned)c - 0x10000) >> 10),
                      0xDC00U + ((unsigned)c & 0x3FF));
        else if (c < 0x20 || (c > 0x7E && ascii))
            text_addf(out, "\\u%04x", (unsigned)c);
        else
            text_add(out, data + from, i - from);
    }
    text_adds(out, "\"");
}

static void break_line(Text *out, const JsonStyle *style, int depth)
{
    if (!style->indent)
        return;
    text_adds(out, "\n");
    for (int i = 0; i < depth; i++)
        text_adds(out, style->indent);
}

/* Index of the next key behind `before` in the order of keys; count when there is none. */
static int64_t next_key(const Dict *dict, int64_t before)
{
    int64_t best = dict->count;
    int order = 0;
    for (int64_t i = 0; i < dict->count; i++) {
        if (before < dict->count && (!value_order(dict->keys[i], dict->keys[before], &order) || order <= 0))
            continue;
        if (best == dict->count || (value_order(dict->keys[i], dict->keys[best], &order) && order < 0))
            best = i;
    }
    return best;
}

static bool dump(Text *out, Value v, const JsonStyle *style, int depth)
{
    const bool dict = v.kind == VALUE_DICT, list = v.kind == VALUE_LIST || v.kind == VALUE_TUPLE;
    if (v.kind == VALUE_STRING)
        dump_string(out, v.string.data, v.string.size, style->ascii);
    else if (v.kind == VALUE_NONE)
        text_adds(out, "null");
    else if (v.kind == VALUE_BOOL)
        text_adds(out, v.whole ? "true" : "false");
    else if (v.kind == VALUE_INT || v.kind == VALUE_REAL)
        value_write(out, v);
    else if (!dict && !list)
        return false;
    if (!dict && !list)
        return true;
    const int64_t count = dict ? v.dict->count : v.list->count;
    text_adds(out, dict ? "{" : "[");
    for (int64_t i = 0, key = dict ? v.dict->count : 0; i < count; i++) {
        text_adds(out, i ? style->comma : "");
        break_line(out, style, depth + 1);
        if (dict) {
            key = style->sorted ? next_key(v.dict, key) : i;
            dump_string(out, v.dict->keys[key].string.data, v.dict->keys[key].string.size, style->ascii);
            text_adds(out, style->colon);
        }
        if (!dump(out, dict ? v.dict->values[key] : v.list->items[i], style, depth + 1))
            return false;
    }
    if (count > 0)
        break_line(out, style, depth);
    text_adds(out, dict ? "}" : "]");
    return true;
}

bool value_dump(Text *out, Value value, const JsonStyle *style)
{
    text_add(out, "", 0);
    return dump(out, value, style, 0);
}
