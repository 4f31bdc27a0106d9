/* config_load - a run file and the command line to a Config: read, settled, checked. Declared in config.h. */
#include "common/config/config.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/config_check.h"
#include "common/config/config_loader.h"
#include "common/config/config_meta.h"
#include "common/config/config_tasks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool takes_many(const ConfigKey *key)
{
    switch (key->type) {
    case KEY_NAMES:
    case KEY_PATHS:
    case KEY_PATTERNS:
    case KEY_LABELS:
    case KEY_TARGETS:
    case KEY_EXCLUDES:
    case KEY_LAYERS:
    case KEY_OBJECT:
        return true;
    default:
        return false;
    }
}

static bool is_modules(const ConfigKey *key)
{
    return key->type == KEY_TARGETS || key->type == KEY_EXCLUDES;
}

/* "query" is a name, ".*query" an expression. A file says which by writing a
 * list or a text; a command line has only the text. */
static bool is_module_name(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            return false;
    return text[0] != '\0';
}

/* Items between commas that no bracket encloses (a{1,3} is one), trimmed. */
static void split_list(YamlNode *list, const char *text)
{
    int depth = 0;
    const char *from = text;
    list->kind = YAML_LIST;
    for (const char *p = text;; p++) {
        depth += (*p && strchr("[({", *p)) ? 1 : 0;
        depth -= (*p && strchr("])}", *p)) ? 1 : 0;
        if (*p != '\0' && (*p != ',' || depth > 0))
            continue;
        const char *end = p;
        while (from < end && isspace((unsigned char)*from))
            from++;
        while (end > from && isspace((unsigned char)end[-1]))
            end--;
        yaml_scalar(yaml_append(list), from, (size_t)(end - from));
        if (*p == '\0')
            return;
        from = p + 1;
    }
}

/* "[qv]_proj" is not; it is an expression. */
static bool is_flow(const char *text)
{
    return (text[0] == '[' && text_ends(text, "]")) || (text[0] == '{' && text_ends(text, "}"));
}

/* The value of an override or a default: [a, b] and {k: v} are YAML, a,b is a
 * list where the key takes one, and all else is a scalar as it stands. */
static bool read_inline(YamlNode *node, bool many, bool modules, const char *text, Err *err)
{
    *node = (YamlNode){ 0 };
    if (many && is_flow(text))
        return yaml_read(node, text, strlen(text), "", err);
    yaml_scalar(node, text, strlen(text));
    if (!many || yaml_is_null(node))
        return true;
    YamlNode list = { 0 };
    split_list(&list, text);
    const bool name = modules && is_module_name(text) && strcasecmp(text, "all-linear") != 0;
    if (list.count > 1 || name) {
        yaml_release(node);
        *node = list;
    } else {
        yaml_release(&list);
    }
    return true;
}

/* ---- defaults ---- */

static void set_defaults(Loader *l)
{
    const struct ConfigOrigin origin = { .kind = BY_DEFAULT };
    for (int i = 0; i < l->count; i++) {
        YamlNode node;
        Err err = { 0 };
        const ConfigKey *key = &l->keys[i];
        const bool ok = read_inline(&node, takes_many(key), is_modules(key), key->initial, &err) &&
                        loader_set(l, key, &node, origin, &err);
        REQUIRE(ok);
        yaml_release(&node);
    }
}

/* ---- the file ---- */

static bool unknown_in_file(const Loader *l, const char *name, int line, Err *err)
{
    const char *file = l->config->source;
    config_unknown(name, err);
    return file[0] ? err_at(err, "%s:%d", file, line) : err_at(err, "line %d", line);
}

static bool not_a_map(const Loader *l, const YamlNode *node, const char *what, Err *err)
{
    char room[128];
    const char *file = l->config->source;
    err_set(err, ERR_INPUT, "%s is %s, not a map of keys", what, yaml_describe(node, room, sizeof room));
    err_hint(err, "a key and its value are written as  key: value, with a space behind the colon");
    return file[0] ? err_at(err, "%s:%d", file, node->line) : err_at(err, "line %d", node->line);
}

static bool set_entry(Loader *l, const char *section, const YamlNode *entry, Err *err)
{
    char *name = section ? xprintf("%s.%s", section, entry->key) : xstrdup(entry->key);
    const bool misplaced = !section && strchr(name, '.');
    const ConfigKey *key = misplaced ? NULL : config_find(name);
    const PeerName *row = misplaced ? NULL : config_name_find(name);
    const struct ConfigOrigin origin = { .kind = BY_FILE, .line = entry->line };
    bool ok;
    if (row) {
        ok = loader_set_name(l, row, entry, origin, err);
    } else if (key) {
        ok = loader_set(l, key, entry, origin, err);
    } else {
        ok = unknown_in_file(l, name, entry->line, err);
        if (misplaced && config_known(name))
            err_hint(err, "in a file, keys stand indented under their section: '%.*s:'", (int)strcspn(name, "."), name);
    }
    free(name);
    return ok;
}

static bool set_section(Loader *l, const YamlNode *section, Err *err)
{
    char what[64];
    if (yaml_is_null(section))
        return true;
    snprintf(what, sizeof what, "'%s'", section->key);
    if (section->kind != YAML_MAP)
        return not_a_map(l, section, what, err);
    for (int i = 0; i < section->count; i++)
        if (!set_entry(l, section->key, &section->items[i], err))
            return false;
    return true;
}

static bool set_all(Loader *l, const YamlNode *root, Err *err)
{
    if (yaml_is_null(root))
        return true;
    if (root->kind != YAML_MAP)
        return not_a_map(l, root, "the run file", err);
    for (int i = 0; i < root->count; i++) {
        const YamlNode *entry = &root->items[i];
        const bool ok = config_is_section(entry->key) ? set_section(l, entry, err) : set_entry(l, NULL, entry, err);
        if (!ok)
            return false;
    }
    return true;
}

/* Is there a file to read? */
static bool check_file(const char *file, Err *err)
{
    if (file_exists(file) && !file_is_folder(file))
        return true;
    char *inside = path_join(file, "run.yaml");
    if (!file_exists(file)) {
        file_missing(file, "file", "a run file is YAML: configs/ has one a use, `lora train --help=keys` every key",
                     err);
    } else {
        err_set(err, ERR_INPUT, "is a folder, not a run file");
        if (file_exists(inside))
            err_hint(err, "did you mean '%s'?", inside);
    }
    free(inside);
    return err_at(err, "%s", file);
}

static bool set_file(Loader *l, const ConfigSources *sources, Err *err)
{
    if (!sources->file && !sources->text)
        return true;
    if (!sources->text && !check_file(sources->file, err))
        return false;
    size_t size = sources->text ? strlen(sources->text) : 0;
    char *bytes = sources->text ? NULL : file_read(sources->file, &size, err);
    if (!sources->text && !bytes)
        return false;
    char *folder = sources->text ? NULL : path_folder(sources->file);
    YamlNode root;
    l->base = (ValueBase){ .folder = folder, .model_is_name = sources->text != NULL };
    bool ok = yaml_read(&root, bytes ? bytes : sources->text, size, l->config->source, err);
    ok = ok && set_all(l, &root, err) && loader_settle_batch(l, BY_FILE, err);
    yaml_release(&root);
    free(folder);
    free(bytes);
    return ok;
}

/* ---- the command line ---- */

/* model_config.NAME=VALUE adds to the map instead of replacing it. */
static bool set_model_config(Loader *l, const char *name, const char *value, Err *err)
{
    YamlNode node = { 0 };
    bool ok = true;
    if (is_flow(value))
        ok = yaml_read(&node, value, strlen(value), "", err);
    else
        yaml_scalar(&node, value, strlen(value));
    json_t *json = ok ? value_json(&node, err) : NULL;
    yaml_release(&node);
    if (!json)
        return err_at(err, "--model_config.%s", name);
    json_object_set_new(l->config->model_config, name, json);
    l->config->origins[config_find("model_config") - l->keys].kind = l->override;
    return true;
}

static bool set_named(Loader *l, const char *name, const char *value, Err *err)
{
    const char inner[] = "model_config.";
    if (text_starts(name, inner) && name[sizeof inner - 1])
        return set_model_config(l, name + sizeof inner - 1, value, err);
    const PeerName *row = config_name_find(name);
    const ConfigKey *key = config_find(row && row->key ? row->key : name);
    if (!key && !row) {
        config_unknown(name, err);
        return err_at(err, "--%.80s", name);
    }
    YamlNode node;
    if (!read_inline(&node, key && takes_many(key), key && is_modules(key), value, err))
        return err_at(err, "--%s", name);
    const struct ConfigOrigin origin = { .kind = l->override };
    const bool ok = row ? loader_set_name(l, row, &node, origin, err) : loader_set(l, key, &node, origin, err);
    yaml_release(&node);
    return ok;
}

static bool set_override(Loader *l, const char *text, Err *err)
{
    const char *equals = strchr(text, '=');
    if (text_utf8_valid(text, strlen(text)) < strlen(text))
        return err_set(err, ERR_INPUT, "an argument is not UTF-8 text");
    if (!equals) {
        err_set(err, ERR_INPUT, "'--%.80s' has no value", text);
        return err_hint(err, "--%.80s=VALUE", text);
    }
    char *name = xstrndup(text, (size_t)(equals - text));
    const bool ok = set_named(l, name, equals + 1, err);
    free(name);
    return ok;
}

static bool set_overrides(Loader *l, const ConfigSources *sources, Err *err)
{
    l->base = (ValueBase){ 0 };
    for (int i = 0; i < sources->override_count; i++)
        if (!set_override(l, sources->overrides[i], err))
            return false;
    return loader_settle_batch(l, l->override, err);
}

/* ---- what follows from other keys ---- */

static struct ConfigOrigin *origin_of(const Config *config, const char *name)
{
    int count;
    return &config->origins[config_find(name) - config_keys(&count)];
}

static bool by_default(const Config *config, const char *name)
{
    return origin_of(config, name)->kind == BY_DEFAULT;
}

/* Rows to evaluate are named, or split off: what the command line says takes the place of what the file says. */
static void settle_validation(Loader *l)
{
    Config *c = l->config;
    const char *const names[] = { "data.validation", "data.validation_split" };
    if (c->data.validation.count == 0 || c->data.validation_split <= 0)
        return;
    const bool given[] = { origin_of(c, names[0])->kind > BY_FILE, origin_of(c, names[1])->kind > BY_FILE };
    if (given[0] == given[1])
        return; /* the check of keys against each other says so */
    const char *gone = names[given[0] ? 1 : 0], *stays = names[given[0] ? 0 : 1];
    char room[512];
    text_addf(&l->notes, "%s gives way to --%s\n", config_where(c, gone, room, sizeof room), stays);
    if (given[0])
        c->data.validation_split = 0;
    else
        value_release(c, config_find(gone));
    *origin_of(c, gone) = (struct ConfigOrigin){ .kind = BY_DEFAULT };
}

static void settle(Config *config)
{
    TrainConfig *t = &config->train;
    const bool validation = config->data.validation.count > 0 || config->data.validation_split > 0;
    if (!validation && by_default(config, "train.eval_strategy"))
        t->eval_strategy = WHEN_NO;
    if (t->eval_strategy == WHEN_STEPS && t->eval_steps == -1)
        t->eval_steps = t->logging_steps;
    if (text_starts(t->metric_for_best_model, "eval_")) /* as Transformers allows */
        memmove(t->metric_for_best_model, t->metric_for_best_model + 5, strlen(t->metric_for_best_model + 5) + 1);
}

/* ---- whole configurations ---- */

/* Every value, not yet checked against the others. */
static bool read_all(Config *config, const ConfigSources *sources, OriginKind overrides, Err *err)
{
    *config = (Config){ 0 };
    Loader l = { .config = config, .override = overrides };
    l.keys = config_keys(&l.count);
    config->source = xstrdup(sources->file ? sources->file : "");
    config->origins = xcalloc((size_t)l.count, sizeof *config->origins);
    set_defaults(&l);
    bool ok = set_file(&l, sources, err) && set_overrides(&l, sources, err);
    if (ok) {
        char *folder = sources->file && !sources->text ? path_folder(sources->file) : NULL;
        ok = config_tasks_settle(config, folder, err);
        free(folder);
    }
    if (ok) {
        settle_validation(&l);
        settle(config);
        config_meta_settle(config);
        ok = loader_settle_names(&l, err);
        config->notes = text_take(&l.notes);
    }
    loader_release(&l);
    return ok;
}

bool config_load_keys(Config *config, const ConfigSources *sources, Err *err)
{
    if (read_all(config, sources, BY_OVERRIDE, err))
        return true;
    config_release(config);
    return false;
}

bool config_load(Config *config, const ConfigSources *sources, Err *err)
{
    if (read_all(config, sources, BY_OVERRIDE, err) && config_check(config, err))
        return true;
    config_release(config);
    return false;
}

/* The other keys were set where they were set before. */
static void keep_origins(Config *next, const Config *before)
{
    int count;
    config_keys(&count);
    for (int i = 0; i < count; i++)
        if (next->origins[i].kind != BY_PROGRAM)
            next->origins[i] = before->origins[i];
    free(next->source);
    next->source = xstrdup(before->source);
}

/* Through the whole loader again, so that nothing changes unless all checks hold. */
bool config_set_all(Config *config, const char *const *overrides, int count, Err *err)
{
    Text now = { 0 };
    config_print(config, &now);
    const ConfigSources sources = { .text = now.data, .overrides = overrides, .override_count = count };
    Config next;
    bool ok = read_all(&next, &sources, BY_PROGRAM, err);
    if (ok) {
        keep_origins(&next, config);
        ok = config_check(&next, err);
    }
    config_release(ok ? config : &next);
    if (ok)
        *config = next;
    text_release(&now);
    return ok;
}

bool config_set(Config *config, const char *key, const char *value, Err *err)
{
    char *override = xprintf("%s=%s", key, value);
    const char *overrides[] = { override };
    const bool ok = config_set_all(config, overrides, 1, err);
    free(override);
    return ok;
}

bool config_is_given(const Config *config, const char *key)
{
    return !by_default(config, key);
}
