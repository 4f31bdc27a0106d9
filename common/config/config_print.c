/* Values back to text: the effective run file, and --help. */
#include "common/base/mem.h"
#include "common/config/config_value.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- one value as YAML ---- */

/* Words that some YAML reader takes for a truth value or nothing. */
static bool is_reserved(const char *text)
{
    static const char *const words[] = { "null", "true", "false", "yes", "no", "on", "off", "y", "n" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool needs_quotes(const char *text)
{
    if (!isalpha((unsigned char)text[0]) && text[0] != '/' && text[0] != '_')
        return true;
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._/-", *p))
            return true;
    return is_reserved(text);
}

/* Code points that YAML does not take raw, or that look like line ends:
 * controls, U+0080-9F, U+2028, U+2029, U+FEFF, U+FFFE, U+FFFF. 0: raw is fine. */
static unsigned escaped_code(const unsigned char *p, int *bytes)
{
    *bytes = 1;
    if (p[0] < 0x20 || p[0] == 0x7F)
        return p[0];
    *bytes = 2;
    if (p[0] == 0xC2 && p[1] < 0xA0)
        return p[1];
    *bytes = 3;
    if (p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9))
        return 0x2000U + p[2] - 0x80;
    if (p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF)
        return 0xFEFF;
    if (p[0] == 0xEF && p[1] == 0xBF && p[2] >= 0xBE)
        return 0xFFC0U + p[2] - 0x80;
    return 0;
}

void config_print_text(const char *text, Text *out)
{
    if (!needs_quotes(text)) {
        text_adds(out, text);
        return;
    }
    text_adds(out, "\"");
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int bytes;
        const unsigned code = escaped_code(p, &bytes);
        if (code) {
            text_addf(out, "\\u%04X", code);
            p += bytes;
        } else {
            if (*p == '"' || *p == '\\')
                text_adds(out, "\\");
            text_add(out, (const char *)p, 1);
            p++;
        }
    }
    text_adds(out, "\"");
}

/* The shortest decimal that reads back to v, with a point, so that YAML 1.1
 * readers take 1.0e-08 for a number too; 60.0, not 6.0e+01. */
static void print_real(double v, Text *out)
{
    char room[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(room, sizeof room, "%.*g", precision, v);
        if (strtod(room, NULL) == v)
            break;
    }
    if (strstr(room, "e+") && fabs(v) < 1e15) /* then it is whole */
        snprintf(room, sizeof room, "%.0f", v);
    const size_t mantissa = strcspn(room, "e");
    text_add(out, room, mantissa);
    if (!memchr(room, '.', mantissa))
        text_adds(out, ".0");
    text_adds(out, room + mantissa);
}

static void print_json(const json_t *value, Text *out)
{
    const char *name, *comma = "";
    size_t i;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        text_adds(out, "{");
        /* json_object_foreach wants a mutable object, and leaves it as it is */
        json_object_foreach((json_t *)(uintptr_t)value, name, item)
        {
            text_adds(out, comma);
            config_print_text(name, out);
            text_adds(out, ": ");
            print_json(item, out);
            comma = ", ";
        }
        text_adds(out, "}");
        break;
    case JSON_ARRAY:
        text_adds(out, "[");
        json_array_foreach(value, i, item)
        {
            text_adds(out, comma);
            print_json(item, out);
            comma = ", ";
        }
        text_adds(out, "]");
        break;
    case JSON_STRING:
        config_print_text(json_string_value(value), out);
        break;
    case JSON_INTEGER:
        text_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        print_real(json_real_value(value), out);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        text_adds(out, json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        text_adds(out, "null");
        break;
    }
}

static void print_list(const StringList *list, Text *out)
{
    if (list->count == 0) {
        text_adds(out, "null");
        return;
    }
    for (int i = 0; i < list->count; i++) {
        text_adds(out, i == 0 ? "[" : ", ");
        config_print_text(list->items[i], out);
    }
    text_adds(out, "]");
}

static void print_optional(const char *text, Text *out)
{
    if (text)
        config_print_text(text, out);
    else
        text_adds(out, "null");
}

static void print_patterns(const ConfigKey *key, const PatternMap *map, Text *out)
{
    text_adds(out, "{");
    for (int i = 0; i < map->count; i++) {
        text_adds(out, i == 0 ? "" : ", ");
        config_print_text(map->keys[i], out);
        text_adds(out, ": ");
        if (key->flags & KEY_WHOLE)
            text_addf(out, "%lld", (long long)map->values[i]);
        else
            print_real(map->values[i], out);
    }
    text_adds(out, "}");
}

static void print_labels(const Config *config, Text *out)
{
    if (config->labels.count == 0 && config->label_count > 0)
        text_addf(out, "%lld", (long long)config->label_count);
    else
        print_list(&config->labels, out);
}

static void print_modules(const StringList *list, const char *expression, Text *out)
{
    if (expression)
        config_print_text(expression, out);
    else
        print_list(list, out);
}

static void print_layers(const LoraConfig *lora, Text *out)
{
    if (!lora->layers_to_transform) {
        text_adds(out, "null");
        return;
    }
    for (int i = 0; i < lora->layers_count; i++)
        text_addf(out, "%s%lld", i == 0 ? "[" : ", ", (long long)lora->layers_to_transform[i]);
    text_adds(out, "]");
}

static void print_int(const ConfigKey *key, int64_t value, Text *out)
{
    if (value == -1 && key->flags & (KEY_NULL | KEY_AUTO))
        text_adds(out, key->flags & KEY_AUTO ? "auto" : "null");
    else
        text_addf(out, "%lld", (long long)value);
}

static void print_word(const ConfigKey *key, int value, Text *out)
{
    for (const KeyWord *w = key->words; w->name; w++) {
        const int stem = config_word_stem(w);
        if (stem > 0 && value >= w->value) {
            text_addf(out, "%.*s%d", stem, w->name, value - w->value);
            return;
        }
        if (w->value == value && !w->later) {
            if (strcmp(w->name, "no") == 0)
                text_adds(out, "\"no\""); /* false to YAML 1.1 readers */
            else
                text_adds(out, w->name);
            return;
        }
    }
    text_adds(out, "null");
}

void value_print(const Config *config, const ConfigKey *key, Text *out)
{
    const void *field = (const char *)config + key->offset;
    const LoraConfig *lora = &config->lora;
    switch (key->type) {
    case KEY_TEXT:
    case KEY_PATH:
    case KEY_MODEL:
        print_optional(*(char *const *)field, out);
        break;
    case KEY_INT:
        print_int(key, *(const int64_t *)field, out);
        break;
    case KEY_REAL:
        if (key->flags & KEY_NULL && *(const double *)field == 0)
            text_adds(out, "null");
        else
            print_real(*(const double *)field, out);
        break;
    case KEY_BOOL:
        text_adds(out, *(const bool *)field ? "true" : "false");
        break;
    case KEY_WORD: {
        int value;
        memcpy(&value, field, sizeof value);
        print_word(key, value, out);
        break;
    }
    case KEY_NAMES:
    case KEY_PATHS:
        print_list(field, out);
        break;
    case KEY_PATTERNS:
        print_patterns(key, field, out);
        break;
    case KEY_LABELS:
        print_labels(config, out);
        break;
    case KEY_TARGETS:
        print_modules(&lora->target_modules, lora->all_linear ? "all-linear" : lora->target_regex, out);
        break;
    case KEY_EXCLUDES:
        print_modules(&lora->exclude_modules, lora->exclude_regex, out);
        break;
    case KEY_LAYERS:
        print_layers(lora, out);
        break;
    case KEY_OBJECT:
        print_json(*(json_t *const *)field, out);
        break;
    case KEY_FIXED:
        text_adds(out, key->initial);
        break;
    }
}

/* ---- all values ---- */

void config_print_key(const Config *config, const char *key, Text *out)
{
    value_print(config, config_find(key), out);
}

void config_print(const Config *config, Text *out)
{
    int count;
    const ConfigKey *keys = config_keys(&count);
    char section[32] = "";
    for (int i = 0; i < count; i++) {
        const char *dot = strchr(keys[i].name, '.');
        if (dot && strncmp(section, keys[i].name, (size_t)(dot - keys[i].name + 1)) != 0) {
            snprintf(section, sizeof section, "%.*s", (int)(dot - keys[i].name + 1), keys[i].name);
            text_addf(out, "\n%.*s:\n", (int)(dot - keys[i].name), keys[i].name);
        }
        text_addf(out, "%s%s: ", dot ? "  " : "", dot ? dot + 1 : keys[i].name);
        value_print(config, &keys[i], out);
        text_adds(out, "\n");
    }
}

bool config_less_is_better(const char *metric)
{
    return text_ends(metric, "loss") || text_ends(metric, "perplexity") || text_ends(metric, "mse");
}

void config_help(Text *out)
{
    int count;
    const ConfigKey *keys = config_keys(&count);
    for (int i = 0; i < count; i++) {
        Text allowed = { 0 };
        config_allowed(&keys[i], &allowed);
        text_addf(out, "  %-32s %-8s %s\n", keys[i].name, keys[i].initial ? keys[i].initial : "-", allowed.data);
        text_addf(out, "  %-32s %-8s   %s\n", "", "", keys[i].help);
        text_release(&allowed);
    }
}
