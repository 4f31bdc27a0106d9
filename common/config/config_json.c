/* value_json - a YAML node as JSON. YAML 1.2's core schema: what a scalar
 * without quotes means is decided by its spelling. */
#include "common/config/config_value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *text, const char *lower, const char *title, const char *upper)
{
    return strcmp(text, lower) == 0 || strcmp(text, title) == 0 || strcmp(text, upper) == 0;
}

static bool is_infinite_or_nan(const char *text)
{
    if (is_one_of(text, ".nan", ".NaN", ".NAN"))
        return true;
    return is_one_of(text + (*text == '-' || *text == '+'), ".inf", ".Inf", ".INF");
}

/* [-+]?[0-9]+, 0o17, 0x1F. The base, or 0 for what is none of them. */
static int whole_base(const char *text)
{
    static const char *const digits[] = { "0123456789", "01234567", "0123456789abcdefABCDEF" };
    const char *p = text + (*text == '-' || *text == '+');
    int base = 10;
    if (p == text && text[0] == '0' && (text[1] == 'o' || text[1] == 'x')) {
        base = text[1] == 'o' ? 8 : 16;
        p = text + 2;
    }
    const char *allowed = digits[base == 10 ? 0 : base == 8 ? 1 : 2];
    return *p && p[strspn(p, allowed)] == '\0' ? base : 0;
}

static json_t *out_of_range(const char *text, Err *err)
{
    err_set(err, ERR_INPUT, "'%.80s' is out of range", text);
    return NULL;
}

static json_t *plain_json(const char *text, Err *err)
{
    if (is_one_of(text, "true", "True", "TRUE"))
        return json_true();
    if (is_one_of(text, "false", "False", "FALSE"))
        return json_false();
    if (is_infinite_or_nan(text))
        return out_of_range(text, err);
    const int base = whole_base(text);
    if (base != 0) {
        errno = 0;
        const long long v = strtoll(base == 8 ? text + 2 : text, NULL, base);
        return errno == 0 ? json_integer(v) : out_of_range(text, err);
    }
    if (config_is_number(text)) {
        const double v = strtod(text, NULL);
        return isfinite(v) ? json_real(v) : out_of_range(text, err);
    }
    return json_string(text);
}

json_t *value_json(const YamlNode *node, Err *err)
{
    if (yaml_is_null(node))
        return json_null();
    if (node->kind == YAML_SCALAR)
        return node->plain ? plain_json(node->text, err) : json_string(node->text);
    json_t *all = node->kind == YAML_MAP ? json_object() : json_array();
    for (int i = 0; i < node->count; i++) {
        const YamlNode *item = &node->items[i];
        json_t *value = value_json(item, err);
        if (!value) {
            if (item->key)
                err_at(err, "%s", item->key);
            json_decref(all);
            return NULL;
        }
        if (node->kind == YAML_MAP)
            json_object_set_new(all, item->key, value);
        else
            json_array_append_new(all, value);
    }
    return all;
}
