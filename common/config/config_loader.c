#include "common/config/config_loader.h"

#include "common/config/config_paste.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- places ---- */

static const char *place(const Config *config, const ConfigKey *key, struct ConfigOrigin origin, char *room,
                         size_t size)
{
    const char *name = origin.alias ? origin.alias : key->name;
    const char *file = config->source && config->source[0] ? config->source : NULL;
    if (origin.kind == BY_FILE && file)
        snprintf(room, size, "%s:%d: %s", file, origin.line, name);
    else if (origin.kind == BY_FILE)
        snprintf(room, size, "line %d: %s", origin.line, name);
    else if (origin.kind == BY_OVERRIDE)
        snprintf(room, size, "--%s", name);
    else if (origin.kind == BY_PROGRAM)
        snprintf(room, size, "%s (set by the program)", name);
    else
        snprintf(room, size, "%s (default)", name);
    return room;
}

const char *config_where(const Config *config, const char *name, char *room, size_t size)
{
    int count;
    const ConfigKey *key = config_find(name);
    REQUIRE(key && config->origins);
    return place(config, key, config->origins[key - config_keys(&count)], room, size);
}

bool config_at_keys(const Config *config, const char *a, const char *b, Err *err)
{
    char first[256], second[256];
    return err_at(err, "%s and %s", config_where(config, a, first, sizeof first),
                  config_where(config, b, second, sizeof second));
}

/* ---- setting one key ---- */

/* Two names of a file say different things of one key: returns false. */
static bool contradiction(const Loader *l, const ConfigKey *key, struct ConfigOrigin a, const char *first,
                          struct ConfigOrigin b, const char *second, Err *err)
{
    char one[256], other[256];
    err_set(err, ERR_INPUT, "%s would be %s by one key and %s by another", key->name, first, second);
    err_hint(err, "keep one of them");
    return err_at(err, "%s and %s", place(l->config, key, a, one, sizeof one),
                  place(l->config, key, b, other, sizeof other));
}

bool loader_set(Loader *l, const ConfigKey *key, const YamlNode *node, struct ConfigOrigin origin, Err *err)
{
    struct ConfigOrigin *now = &l->config->origins[key - l->keys];
    const bool again = origin.kind == BY_FILE && now->kind == BY_FILE && now->alias != origin.alias;
    Text before = { 0 }, after = { 0 };
    if (again)
        value_print(l->config, key, &before);
    bool ok = value_read(l->config, key, node, &l->base, err);
    if (!ok) {
        char room[512];
        err_at(err, "%s", place(l->config, key, origin, room, sizeof room));
    } else if (again) {
        value_print(l->config, key, &after);
        if (strcmp(before.data, after.data) != 0)
            ok = contradiction(l, key, *now, before.data, origin, after.data, err);
    }
    if (ok)
        *now = origin;
    text_release(&before);
    text_release(&after);
    return ok;
}

/* ---- names of LoraConfig and TrainingArguments ---- */

/* A value in the form of `key`, which keeps its own. */
static bool set_waiting(Loader *l, WaitingKey *waiting, const PeerName *row, const ConfigKey *key, const YamlNode *node,
                        struct ConfigOrigin origin, Err *err)
{
    Config other = { 0 };
    if (!value_read(&other, key, node, &l->base, err)) {
        char room[512];
        return err_at(err, "%s", place(l->config, key, origin, room, sizeof room));
    }
    waiting->row = row;
    waiting->origin = origin;
    text_clear(&waiting->value);
    value_print(&other, key, &waiting->value);
    value_release(&other, key);
    return true;
}

/* The direction of a metric has no field of its own: it is read as a truth value. */
static const ConfigKey greater_form = {
    .name = "train.greater_is_better",
    .type = KEY_BOOL,
    .offset = offsetof(Config, train.load_best_model_at_end),
    .help = "must agree with the metric",
};

/* Where the value of such a name waits; NULL: it sets its key at once. */
static WaitingKey *waits(Loader *l, const PeerName *row)
{
    if (row->kind == NAME_BATCH)
        return text_ends(row->name, "batch_size") ? &l->device_batch : &l->accumulation;
    if (row->kind == NAME_GREATER)
        return &l->greater;
    return row->kind == NAME_SAME ? &l->same : NULL;
}

bool loader_set_name(Loader *l, const PeerName *row, const YamlNode *node, struct ConfigOrigin origin, Err *err)
{
    Pasted pasted;
    if (!paste_name(&pasted, row, node, &l->notes, err)) {
        char room[512];
        const ConfigKey as = { .name = row->name };
        return err_at(err, "%s", place(l->config, &as, origin, room, sizeof room));
    }
    bool ok = true;
    if (pasted.key) {
        origin.alias = strcmp(pasted.key->name, row->name) != 0 ? row->name : NULL;
        WaitingKey *waiting = waits(l, row);
        const ConfigKey *form = waiting == &l->greater ? &greater_form : pasted.key;
        if (waiting)
            ok = set_waiting(l, waiting, row, form, &pasted.value, origin, err);
        else
            ok = loader_set(l, pasted.key, &pasted.value, origin, err);
    }
    pasted_release(&pasted);
    return ok;
}

/* ---- the size of a step ---- */

static bool lonely_pieces(const Loader *l, const ConfigKey *key, Err *err)
{
    char room[512];
    err_set(err, ERR_INPUT, "the batch of a device, which it multiplies, is not given");
    err_hint(err, "write train.batch_size alone: the examples of one step, all pieces together");
    return err_at(err, "%s", place(l->config, key, l->accumulation.origin, room, sizeof room));
}

bool loader_settle_batch(Loader *l, OriginKind level, Err *err)
{
    const ConfigKey *key = config_find("train.batch_size");
    const struct ConfigOrigin *now = &l->config->origins[key - l->keys];
    const WaitingKey *device = &l->device_batch, *pieces = &l->accumulation;
    const bool by_device = device->row && device->origin.kind == level;
    const bool by_pieces = pieces->row && pieces->origin.kind == level;
    const long long count = pieces->row ? strtoll(pieces->value.data, NULL, 10) : 1;
    if ((!by_device && !by_pieces) || (!device->row && count == 1))
        return true;
    if (!device->row)
        return lonely_pieces(l, key, err);
    const struct ConfigOrigin origin = by_device ? device->origin : pieces->origin;
    char text[32], own[32];
    snprintf(text, sizeof text, "%lld", strtoll(device->value.data, NULL, 10) * count);
    snprintf(own, sizeof own, "%lld", (long long)l->config->train.batch_size);
    if (now->kind == level && !now->alias && strcmp(own, text) != 0)
        return contradiction(l, key, *now, own, origin, text, err);
    YamlNode product = { 0 };
    yaml_scalar(&product, text, strlen(text));
    const bool ok = loader_set(l, key, &product, origin, err);
    yaml_release(&product);
    return ok;
}

/* ---- at the end ---- */

static bool check_greater(const Loader *l, Err *err)
{
    const WaitingKey *greater = &l->greater;
    const char *metric = l->config->train.metric_for_best_model;
    const bool less = config_less_is_better(metric);
    if (!greater->row || (strcmp(greater->value.data, "true") == 0) != less)
        return true;
    char room[512];
    err_set(err, ERR_INPUT, "of the metric '%s', %s is better", metric, less ? "less" : "more");
    err_hint(err, "remove it, or name another metric");
    const ConfigKey *key = config_find(greater->row->key);
    return err_at(err, "%s", place(l->config, key, greater->origin, room, sizeof room));
}

static bool check_same(const Loader *l, Err *err)
{
    const WaitingKey *same = &l->same;
    const ConfigKey *key = same->row ? config_find(same->row->key) : NULL;
    Text value = { 0 };
    if (key)
        value_print(l->config, key, &value);
    const bool ok = !key || strcmp(value.data, same->value.data) == 0;
    if (!ok) {
        contradiction(l, key, l->config->origins[key - l->keys], value.data, same->origin, same->value.data, err);
        err_hint(err, "%s: remove %s", same->row->note, same->row->name);
    }
    text_release(&value);
    return ok;
}

bool loader_settle_names(Loader *l, Err *err)
{
    const ConfigKey *batch = config_find("train.batch_size");
    if (l->config->origins[batch - l->keys].alias)
        text_addf(&l->notes, "train.batch_size is %lld, whatever the workers: %s %s x gradient_accumulation_steps %s\n",
                  (long long)l->config->train.batch_size, l->device_batch.row->name + strlen("train."),
                  l->device_batch.value.data, l->accumulation.row ? l->accumulation.value.data : "1");
    return check_greater(l, err) && check_same(l, err);
}

void loader_release(Loader *l)
{
    text_release(&l->device_batch.value);
    text_release(&l->accumulation.value);
    text_release(&l->greater.value);
    text_release(&l->same.value);
    text_release(&l->notes);
}
