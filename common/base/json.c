#include "common/base/json.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *json_bytes(const char *data, size_t size, const char *where, Err *err)
{
    json_error_t fault;
    json_t *value = json_loadb(data, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &fault);
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
