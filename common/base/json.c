#include "common/base/json.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Behind a string that begins at data[at]. */
static size_t behind_string(const char *data, size_t size, size_t at)
{
    for (at++; at < size && data[at] != '"'; at++)
        at += data[at] == '\\';
    return at < size ? at + 1 : size;
}

static bool is_in_number(char c)
{
    return isdigit((unsigned char)c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* data[0,size) with its integers beyond 64 bits made reals ("1e30" written out is what Transformers
 * calls no limit): "e0" stands behind them. */
static void widen(const char *data, size_t size, Text *out)
{
    enum { SAFE = 18 }; /* digits that always fit */
    for (size_t at = 0; at < size;) {
        size_t end = at + 1;
        if (data[at] == '"') {
            end = behind_string(data, size, at);
            text_add(out, data + at, end - at);
        } else if (is_in_number(data[at])) {
            bool whole = true;
            for (; end < size && is_in_number(data[end]); end++)
                whole = whole && isdigit((unsigned char)data[end]);
            text_add(out, data + at, end - at);
            if (whole && end - at > SAFE)
                text_adds(out, "e0");
        } else {
            text_add(out, data + at, 1);
        }
        at = end;
    }
}

json_t *json_bytes(const char *data, size_t size, const char *where, Err *err)
{
    const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;
    json_error_t fault;
    json_t *value = json_loadb(data, size, flags, &fault);
    if (!value && json_error_code(&fault) == json_error_numeric_overflow) {
        Text wide = { 0 };
        widen(data, size, &wide);
        value = json_loadb(wide.data, wide.size, flags, &fault);
        text_release(&wide);
    }
    if (!value) {
        err_set(err, ERR_INPUT, "not valid JSON: %s", fault.text);
        err_at(err, "%s:%d:%d", where, fault.line, fault.column);
    }
    return value;
}

json_t *json_file(const char *path, Err *err)
{
    FileMap map;
    if (!file_map(&map, path, err))
        return NULL;
    json_t *value = json_bytes(map.data ? map.data : "", map.size, path, err);
    file_unmap(&map);
    return value;
}

static const json_t *present(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_null(v) ? NULL : v;
}

static void wrong(Err *err, const char *key, const char *wanted)
{
    if (err && err->kind == ERR_NONE)
        err_set(err, ERR_INPUT, "'%s' is not %s", key, wanted);
}

int64_t json_get_int(const json_t *object, const char *key, int64_t fallback, Err *err)
{
    const json_t *v = present(object, key);
    if (!v)
        return fallback;
    if (json_is_integer(v))
        return json_integer_value(v);
    if (json_is_real(v)) { /* 8.0 is written by some tools */
        const double x = json_real_value(v);
        if (x == floor(x) && fabs(x) < 9e15)
            return (int64_t)x;
    }
    wrong(err, key, "a whole number");
    return fallback;
}

double json_get_real(const json_t *object, const char *key, double fallback, Err *err)
{
    const json_t *v = present(object, key);
    if (!v)
        return fallback;
    if (json_is_number(v))
        return json_number_value(v);
    wrong(err, key, "a number");
    return fallback;
}

bool json_get_bool(const json_t *object, const char *key, bool fallback, Err *err)
{
    const json_t *v = present(object, key);
    if (!v)
        return fallback;
    if (json_is_boolean(v))
        return json_is_true(v);
    wrong(err, key, "true or false");
    return fallback;
}

const char *json_get_string(const json_t *object, const char *key, const char *fallback, Err *err)
{
    const json_t *v = present(object, key);
    if (!v)
        return fallback;
    if (json_is_string(v))
        return json_string_value(v);
    wrong(err, key, "a string");
    return fallback;
}

bool json_write(const char *path, const json_t *value, Err *err)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    REQUIRE(text);
    char *whole = xprintf("%s\n", text);
    const bool ok = file_write(path, whole, strlen(whole), err);
    free(whole);
    free(text);
    return ok;
}
