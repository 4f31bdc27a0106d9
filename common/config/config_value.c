#include "common/config/config_value.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void *value_field(Config *config, const ConfigKey *key)
{
    return (char *)config + key->offset;
}

/* ---- release ---- */

static void release_list(StringList *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (StringList){ 0 };
}

static void release_patterns(PatternMap *map)
{
    for (int i = 0; i < map->count; i++)
        free(map->keys[i]);
    free(map->keys);
    free(map->values);
    *map = (PatternMap){ 0 };
}

static void release_text(char **text)
{
    free(*text);
    *text = NULL;
}

static void release_object(json_t **object)
{
    json_decref(*object);
    *object = NULL;
}

void value_release(Config *config, const ConfigKey *key)
{
    LoraConfig *lora = &config->lora;
    switch (key->type) {
    case KEY_TEXT:
    case KEY_PATH:
    case KEY_MODEL:
        release_text(value_field(config, key));
        break;
    case KEY_LABELS:
        config->label_count = 0;
        release_list(&config->labels);
        break;
    case KEY_NAMES:
    case KEY_PATHS:
        release_list(value_field(config, key));
        break;
    case KEY_PATTERNS:
        release_patterns(value_field(config, key));
        break;
    case KEY_TARGETS:
        release_list(&lora->target_modules);
        release_text(&lora->target_regex);
        lora->all_linear = false;
        break;
    case KEY_EXCLUDES:
        release_list(&lora->exclude_modules);
        release_text(&lora->exclude_regex);
        break;
    case KEY_LAYERS:
        free(lora->layers_to_transform);
        lora->layers_to_transform = NULL;
        lora->layers_count = 0;
        break;
    case KEY_OBJECT:
        release_object(value_field(config, key));
        break;
    case KEY_INT:
    case KEY_REAL:
    case KEY_BOOL:
    case KEY_WORD:
    case KEY_FIXED:
        break;
    }
}

/* ---- scalars ---- */

static bool wrong(const YamlNode *node, Err *err, const char *expected)
{
    char room[128];
    return err_set(err, ERR_INPUT, "%s is not %s", yaml_describe(node, room, sizeof room), expected);
}

/* The range is checked before any cast: casting 1e300 to an integer is undefined. */
static bool read_number(const ConfigKey *key, const YamlNode *node, double *value, Err *err)
{
    const bool whole =
        key->type == KEY_INT || key->type == KEY_LAYERS || key->type == KEY_LABELS || (key->flags & KEY_WHOLE);
    const char *expected = whole ? "a whole number" : "a number";
    if (node->kind != YAML_SCALAR || !config_is_number(node->text))
        return wrong(node, err, expected);
    const double v = strtod(node->text, NULL);
    if (whole && v != floor(v))
        return wrong(node, err, expected);
    const bool low = key->flags & KEY_ABOVE ? !(v > key->min) : !(v >= key->min);
    const bool high = key->flags & KEY_BELOW ? !(v < key->max) : !(v <= key->max);
    if (low || high)
        return err_set(err, ERR_INPUT, "%.80s is out of range", node->text);
    *value = v;
    return true;
}

/* A double holds only 53 bits of a whole number: digits are read as such. */
static bool read_whole(const ConfigKey *key, const YamlNode *node, int64_t *value, Err *err)
{
    double v = 0;
    if (!read_number(key, node, &v, err))
        return false;
    char *rest;
    errno = 0;
    *value = strtoll(node->text, &rest, 10);
    if (errno == 0 && *rest == '\0')
        return true;
    if (fabs(v) > 9007199254740992.0) /* 2^53 */
        return err_set(err, ERR_INPUT, "%.80s is out of range", node->text);
    *value = (int64_t)v; /* 1e3, 8.0 */
    return true;
}

static bool read_bool(const YamlNode *node, bool *value, Err *err)
{
    static const char *const words[2][3] = { { "false", "no", "off" }, { "true", "yes", "on" } };
    for (int truth = 0; truth < 2; truth++)
        for (int i = 0; i < 3; i++)
            if (node->kind == YAML_SCALAR && strcasecmp(node->text, words[truth][i]) == 0) {
                *value = truth;
                return true;
            }
    return wrong(node, err, "true or false");
}

/* "pissa_niter_4"; -1: the text is not the word. */
static int word_number(const KeyWord *word, const char *text)
{
    const int stem = config_word_stem(word);
    if (stem == 0 || strncasecmp(word->name, text, (size_t)stem) != 0)
        return strcasecmp(word->name, text) == 0 && stem == 0 ? 0 : -1;
    const size_t digits = strspn(text + stem, "0123456789");
    return digits < 1 || digits > 2 || text[(size_t)stem + digits] != '\0' ? -1 : (int)strtol(text + stem, NULL, 10);
}

/* A known word that is not supported; of some there is a way round. */
static bool not_yet(const ConfigKey *key, const KeyWord *word, Err *err)
{
    static const struct {
        const char *key, *word, *why, *hint;
    } ways[] = {
        { "lora.init_lora_weights", "eva",
          "the ranks of its modules follow from a pass over the data, and the server has to know them before a worker "
          "reads any",
          "PEFT's start goes on here: initialize_lora_eva_weights(model, dataloader), model.save_pretrained(DIR), then "
          "lora.init_adapter: DIR; " },
    };
    for (size_t i = 0; i < LENGTH(ways); i++)
        if (strcmp(key->name, ways[i].key) == 0 && strcmp(word->name, ways[i].word) == 0) {
            err_set(err, ERR_INPUT, "%s: %s is not supported: %s", key->name, word->name, ways[i].why);
            return err_hint(err, "%s", ways[i].hint); /* value_read adds what is allowed */
        }
    return err_set(err, ERR_INPUT, "%s: %s is not supported yet", key->name, word->name);
}

static bool read_word(const ConfigKey *key, const YamlNode *node, int *value, Err *err)
{
    if (node->kind != YAML_SCALAR)
        return wrong(node, err, "a single word");
    const char *names[16];
    size_t count = 0;
    for (const KeyWord *w = key->words; w->name; w++) {
        names[count++] = w->name;
        const int number = word_number(w, node->text);
        if (number < 0)
            continue;
        if (w->later)
            return not_yet(key, w, err);
        *value = w->value + number;
        return true;
    }
    err_set(err, ERR_INPUT, "'%.80s' is not one of its values", node->text);
    const char *near = text_nearest(node->text, names, count);
    if (near)
        err_hint(err, "did you mean '%s'? ", near); /* value_read adds what is allowed */
    return false;
}

static bool read_fixed(const ConfigKey *key, const YamlNode *node, Err *err)
{
    if (key->flags & KEY_NULL && yaml_is_null(node))
        return true;
    int value;
    char room[128];
    const bool same = node->kind == YAML_SCALAR && strcasecmp(node->text, key->initial) == 0;
    if (same && !(key->flags & KEY_NULL))
        return true;
    if (key->words)
        return read_word(key, node, &value, err);
    return err_set(err, ERR_INPUT, "%s: %s is not supported yet", key->name, yaml_describe(node, room, sizeof room));
}

static bool read_text(const ConfigKey *key, const YamlNode *node, char **text, Err *err)
{
    const bool path = key->type == KEY_PATH || key->type == KEY_PATHS || key->type == KEY_MODEL;
    if (node->kind != YAML_SCALAR || yaml_is_null(node))
        return wrong(node, err, path ? "a path" : "a text");
    if (node->text[0] == '\0')
        return err_set(err, ERR_INPUT, "an empty text");
    *text = xstrdup(node->text);
    return true;
}

/* ---- paths ---- */

/* Absolute, without "//" and "/./" and a slash at the end; ".." stays, as what
 * it means depends on links. */
static char *clean_path(const char *folder, const char *name)
{
    char *home = path_expand(name);
    char *joined = folder ? path_join(folder, home) : xstrdup(home);
    char *path = path_absolute(joined);
    char *to = path;
    for (const char *from = path; *from;) {
        if (from[0] == '/' && (from[1] == '/' || from[1] == '\0') && from != path)
            from++;
        else if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || from[2] == '\0'))
            from += 2;
        else
            *to++ = *from++;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
    free(home);
    free(joined);
    return path;
}

static bool read_path(const ConfigKey *key, const YamlNode *node, const ValueBase *base, char **path, Err *err)
{
    char *name = NULL;
    if (!read_text(key, node, &name, err))
        return false;
    *path = clean_path(base->folder, name);
    free(name);
    if (text_utf8_valid(*path, strlen(*path)) < strlen(*path)) /* a folder above may not be */
        return err_set(err, ERR_INPUT, "'%.200s' is not a UTF-8 path", *path);
    return true;
}

/* "owner/name" or "name", as the hub allows them. */
static bool is_hub_name(const char *name)
{
    const char *slash = strchr(name, '/');
    const size_t ok = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789._-/");
    return name[ok] == '\0' && (!slash || (slash != name && slash[1] && !strchr(slash + 1, '/')));
}

static bool read_model(const ConfigKey *key, const YamlNode *node, const ValueBase *base, char **model, Err *err)
{
    char *name = NULL;
    if (!read_path(key, node, base, model, err) || !read_text(key, node, &name, err))
        return false;
    const bool path = name[0] == '/' || name[0] == '~' || text_starts(name, "./") || text_starts(name, "../") ||
                      strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    bool ok = true;
    if (!path && (base->model_is_name || !file_is_folder(*model))) {
        ok = is_hub_name(name);
        if (!ok)
            err_set(err, ERR_INPUT, "'%.200s' is neither a folder nor a hub name", *model);
        free(*model);
        *model = ok ? name : NULL;
        name = ok ? NULL : name;
    }
    free(name);
    return ok;
}

/* ---- lists and maps ---- */

/* A scalar counts as a list of one. */
static bool read_list(const ConfigKey *key, const YamlNode *node, const ValueBase *base, StringList *list, Err *err)
{
    if (node->kind == YAML_MAP)
        return wrong(node, err, "a list");
    const bool one = node->kind == YAML_SCALAR;
    const YamlNode *items = one ? node : node->items;
    const int count = one ? 1 : node->count;
    list->items = xcalloc((size_t)count + 1, sizeof *list->items);
    for (int i = 0; i < count; i++) {
        const bool ok = key->type == KEY_PATHS ? read_path(key, &items[i], base, &list->items[i], err)
                                               : read_text(key, &items[i], &list->items[i], err);
        if (!ok) {
            if (!one && yaml_is_null(&items[i]))
                err_set(err, ERR_INPUT, "item %d of the list is null; a name needs quotes", i + 1);
            return false;
        }
        list->count = i + 1;
    }
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool each_once(const StringList *names, Err *err)
{
    const size_t count = (size_t)names->count;
    char **sorted = xmalloc(count * sizeof *sorted);
    if (count > 0) {
        memcpy(sorted, names->items, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_text);
    }
    bool once = true;
    for (size_t i = 1; once && i < count; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            once = err_set(err, ERR_INPUT, "label '%.80s' is in the list twice", sorted[i]);
    free(sorted);
    return once;
}

static bool read_labels(Config *config, const ConfigKey *key, const YamlNode *node, Err *err)
{
    if (node->kind == YAML_SCALAR)
        return read_whole(key, node, &config->label_count, err);
    if (!read_list(key, node, &(ValueBase){ 0 }, &config->labels, err))
        return false;
    config->label_count = config->labels.count;
    return each_once(&config->labels, err);
}

static bool read_modules(const ConfigKey *key, const YamlNode *node, LoraConfig *lora, Err *err)
{
    const bool targets = key->type == KEY_TARGETS;
    if (node->kind == YAML_SCALAR && targets && strcasecmp(node->text, "all-linear") == 0)
        return lora->all_linear = true;
    if (node->kind == YAML_SCALAR)
        return read_text(key, node, targets ? &lora->target_regex : &lora->exclude_regex, err);
    if (targets && node->kind == YAML_LIST && node->count == 0)
        return err_set(err, ERR_INPUT, "an empty list adapts nothing");
    return read_list(key, node, &(ValueBase){ 0 }, targets ? &lora->target_modules : &lora->exclude_modules, err);
}

static bool read_layers(const ConfigKey *key, const YamlNode *node, LoraConfig *lora, Err *err)
{
    if (node->kind == YAML_MAP)
        return wrong(node, err, "a list");
    const bool one = node->kind == YAML_SCALAR;
    const int count = one ? 1 : node->count;
    if (count == 0)
        return err_set(err, ERR_INPUT, "an empty list adapts nothing");
    lora->layers_to_transform = xcalloc((size_t)count, sizeof *lora->layers_to_transform);
    for (int i = 0; i < count; i++) {
        int64_t *layer = &lora->layers_to_transform[i];
        if (!read_whole(key, one ? node : &node->items[i], layer, err))
            return false;
        for (int j = 0; j < i; j++)
            if (lora->layers_to_transform[j] == *layer)
                return err_set(err, ERR_INPUT, "layer %lld is in the list twice", (long long)*layer);
    }
    lora->layers_count = count;
    return true;
}

static bool read_patterns(const ConfigKey *key, const YamlNode *node, PatternMap *map, Err *err)
{
    enum { MOST = 160 }; /* so that a printed key stays within what YAML allows */
    if (node->kind != YAML_MAP)
        return wrong(node, err, "a map");
    map->keys = xcalloc((size_t)node->count + 1, sizeof *map->keys);
    map->values = xcalloc((size_t)node->count + 1, sizeof *map->values);
    for (int i = 0; i < node->count; i++) {
        const YamlNode *item = &node->items[i];
        const size_t n = strlen(item->key);
        if (n == 0 || n > MOST)
            return err_set(err, ERR_INPUT, "the pattern '%.40s' has %zu bytes, of 1 to %d", item->key, n, MOST);
        if (!read_number(key, item, &map->values[i], err))
            return err_at(err, "%s", item->key);
        map->keys[i] = xstrdup(item->key);
        map->count = i + 1;
    }
    return true;
}

static bool read_object(const ConfigKey *key, const YamlNode *node, json_t **object, Err *err)
{
    const bool listed = key->flags & KEY_LISTED;
    for (const KeyWord *word = key->words; word && word->name && node->kind == YAML_SCALAR; word++)
        if (strcasecmp(node->text, word->name) == 0) {
            *object = json_string(word->name);
            return true;
        }
    if (node->kind != YAML_MAP && !(listed && node->kind == YAML_LIST))
        return wrong(node, err,
                     key->words ? "a list, a map, or one of the words"
                     : listed   ? "a list, or a map"
                                : "a map");
    *object = value_json(node, err);
    return *object != NULL;
}

/* ---- the rows ---- */

static void set_null(Config *config, const ConfigKey *key)
{
    const int64_t none = -1;
    const double zero = 0;
    const int first = 0;
    const bool no = false;
    void *field = value_field(config, key);
    if (key->type == KEY_INT)
        memcpy(field, &none, sizeof none);
    else if (key->type == KEY_REAL)
        memcpy(field, &zero, sizeof zero);
    else if (key->type == KEY_WORD)
        memcpy(field, &first, sizeof first); /* problem_type: PROBLEM_AUTO */
    else if (key->type == KEY_BOOL)
        memcpy(field, &no, sizeof no);
    else if (key->type == KEY_OBJECT)
        *(json_t **)field = json_object();
}

static bool read_field(Config *config, const ConfigKey *key, const YamlNode *node, const ValueBase *base, Err *err)
{
    void *field = value_field(config, key);
    switch (key->type) {
    case KEY_TEXT:
        return read_text(key, node, field, err);
    case KEY_PATH:
        return read_path(key, node, base, field, err);
    case KEY_MODEL:
        return read_model(key, node, base, field, err);
    case KEY_INT:
        return read_whole(key, node, field, err);
    case KEY_REAL:
        return read_number(key, node, field, err);
    case KEY_BOOL:
        return read_bool(node, field, err);
    case KEY_WORD:
        return read_word(key, node, field, err);
    case KEY_NAMES:
    case KEY_PATHS:
        return read_list(key, node, base, field, err);
    case KEY_PATTERNS:
        return read_patterns(key, node, field, err);
    case KEY_LABELS:
        return read_labels(config, key, node, err);
    case KEY_TARGETS:
    case KEY_EXCLUDES:
        return read_modules(key, node, &config->lora, err);
    case KEY_LAYERS:
        return read_layers(key, node, &config->lora, err);
    case KEY_OBJECT:
        return read_object(key, node, field, err);
    case KEY_FIXED:
        return read_fixed(key, node, err);
    }
    return false;
}

bool value_read(Config *config, const ConfigKey *key, const YamlNode *node, const ValueBase *base, Err *err)
{
    value_release(config, key);
    const bool has_field = key->type != KEY_FIXED;
    if (has_field && key->flags & KEY_NULL && yaml_is_null(node)) {
        set_null(config, key);
        return true;
    }
    if (key->flags & KEY_AUTO && node->kind == YAML_SCALAR && strcasecmp(node->text, "auto") == 0) {
        set_null(config, key);
        return true;
    }
    Err own = { 0 };
    if (read_field(config, key, node, base, &own))
        return true;
    value_release(config, key);
    Text allowed = { 0 };
    config_allowed(key, &allowed);
    err_set(err, own.kind, "%s", own.what);
    if (own.where[0])
        err_at(err, "%s", own.where);
    err_hint(err, "%s%s takes %s: %s", own.hint, key->name, allowed.data, key->help);
    text_release(&allowed);
    return false;
}
