/* Two configurations beside each other: are they one run, what was changed, and a number for what binds it. */
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/config/config.h"
#include "common/config/config_value.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_VALUE = 100, /* bytes that are shown of a value */
    MOST_KEYS = 1600, /* bytes of a list of keys: it has to fit into Err.what */
    BEFORE = 20 /* bytes that are shown before those where two long values part */
};

static bool has_default(const Config *config, const ConfigKey *key)
{
    Text text = { 0 };
    value_print(config, key, &text);
    const bool same = strcmp(text.data, key->initial) == 0;
    text_release(&text);
    return same;
}

/* Some keys are `auto` in the user's file and fixed in a run that has begun, which is the same run;
 * parallel.micro_batch_tokens only matters where the micro-batches are `auto` on both sides, and it is on none. */
static bool counts_as_same(const ConfigKey *key, const Config *here, const Config *there)
{
    if (key->flags & KEY_BEGUN)
        return has_default(here, key) || has_default(there, key);
    if (strcmp(key->name, "parallel.micro_batch_tokens") == 0)
        return here->parallel.micro_batches != -1 || there->parallel.micro_batches != -1 ||
               here->parallel.micro_batch_tokens == -1 || there->parallel.micro_batch_tokens == -1;
    return key->flags & KEY_FREE;
}

static bool is_place(const ConfigKey *key)
{
    return key->type == KEY_MODEL || key->type == KEY_PATH || key->type == KEY_PATHS;
}

static bool is_compared(const ConfigKey *key, ConfigCompare by, const Config *here, const Config *there)
{
    switch (by) {
    case COMPARE_FOLDER:
        return !(key->flags & (KEY_GOING | KEY_ALIKE)) && !counts_as_same(key, here, there);
    case COMPARE_WORKER:
        return !(key->flags & KEY_GOING) && !is_place(key) && !counts_as_same(key, here, there);
    case COMPARE_GOING:
        return key->flags & (KEY_GOING | KEY_ALIKE);
    case COMPARE_ROWS:
        return key->flags & KEY_ROWS && !is_place(key);
    case COMPARE_READING:
        return text_starts(key->name, "data.") && !is_place(key) && !(key->flags & KEY_ALIKE);
    }
    return true;
}

/* ---- the list of keys ---- */

static bool is_inside_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80; /* UTF-8 */
}

/* A value, or the part of a long one that holds byte `at`. */
static void add_value(Text *out, const char *value, size_t at)
{
    const size_t size = strlen(value);
    size_t begin = 0, end = size;
    if (size > MOST_VALUE) {
        begin = at > BEFORE ? at - BEFORE : 0;
        end = begin + MOST_VALUE < size ? begin + MOST_VALUE : size;
        while (begin > 0 && is_inside_character(value[begin]))
            begin--;
        while (end < size && is_inside_character(value[end]))
            end++;
    }
    text_adds(out, begin > 0 ? "..." : "");
    text_add(out, value + begin, end - begin);
    text_adds(out, end < size ? "..." : "");
}

static void add_key(Text *out, const char *name, ConfigCompare by, const char *here, const char *there)
{
    size_t at = 0; /* where they part */
    while (here[at] && here[at] == there[at])
        at++;
    text_addf(out, "%s%s (", out->size > 0 ? "; " : "", name);
    if (by == COMPARE_GOING) {
        add_value(out, there, at);
        text_adds(out, " before, now ");
        add_value(out, here, at);
    } else {
        add_value(out, here, at);
        text_adds(out, " here, ");
        add_value(out, there, at);
        text_adds(out, " there");
    }
    text_adds(out, ")");
}

bool config_same_run(const Config *here, const Config *there, ConfigCompare by, Text *out)
{
    int count, more = 0;
    const ConfigKey *keys = config_keys(&count);
    bool same = true;
    for (int i = 0; i < count; i++) {
        if (!is_compared(&keys[i], by, here, there))
            continue;
        Text a = { 0 }, b = { 0 };
        value_print(here, &keys[i], &a);
        value_print(there, &keys[i], &b);
        if (strcmp(a.data, b.data) != 0) {
            same = false;
            if (out->size < MOST_KEYS)
                add_key(out, keys[i].name, by, a.data, b.data);
            else
                more++;
        }
        text_release(&a);
        text_release(&b);
    }
    if (more > 0)
        text_addf(out, "; and %d more", more);
    return same;
}

/* config_set's value: a text stands there as it is, without the quotes that a run file gives to one that looks
 * like a number (a fingerprint may). */
static bool take_value(Config *config, const Config *from, const ConfigKey *key, Err *err)
{
    Text value = { 0 };
    const char *text = key->type == KEY_TEXT ? *(char *const *)(const void *)((const char *)from + key->offset) : NULL;
    if (text)
        text_adds(&value, text);
    else
        value_print(from, key, &value);
    const bool ok = config_set(config, key->name, value.data, err);
    text_release(&value);
    return ok;
}

bool config_take_begun(Config *config, const Config *begun, Err *err)
{
    int count;
    const ConfigKey *keys = config_keys(&count);
    bool ok = true;
    for (int i = 0; ok && i < count; i++) {
        if (!(keys[i].flags & KEY_BEGUN) || has_default(begun, &keys[i]))
            continue;
        ok = take_value(config, begun, &keys[i], err);
    }
    return ok && config_take_pieces(config, begun, err);
}

int64_t config_piece_tokens(const Config *config)
{
    return config->parallel.micro_batch_tokens > 0 ? config->parallel.micro_batch_tokens : CONFIG_PIECE_TOKENS;
}

bool config_take_pieces(Config *config, const Config *from, Err *err)
{
    return from->parallel.micro_batch_tokens < 0 ||
           take_value(config, from, config_find("parallel.micro_batch_tokens"), err);
}

bool config_take_own(Config *config, const Config *own, Err *err)
{
    static const char *const names[] = { "parallel.threads", "parallel.memory", "parallel.data", "parallel.pipeline" };
    bool ok = true;
    for (size_t i = 0; ok && i < LENGTH(names); i++)
        ok = take_value(config, own, config_find(names[i]), err);
    return ok;
}

bool config_take_labels(Config *config, const Config *from, Err *err)
{
    static const char *const names[] = { "labels", "problem_type" };
    bool ok = true;
    for (int i = 0; ok && i < 2; i++) {
        const ConfigKey *key = config_find(names[i]);
        if (!has_default(config, key) || has_default(from, key))
            continue;
        ok = take_value(config, from, key, err);
    }
    return ok;
}

uint64_t config_digest(const Config *config, bool alike)
{
    int count;
    const ConfigKey *keys = config_keys(&count);
    Text all = { 0 };
    for (int i = 0; i < count; i++) {
        const int flags = keys[i].flags;
        if (flags & (KEY_FREE | KEY_BEGUN | KEY_GOING) || (flags & KEY_ALIKE && !alike) ||
            strcmp(keys[i].name, "parallel.micro_batch_tokens") == 0)
            continue;
        text_addf(&all, "%s: ", keys[i].name);
        value_print(config, &keys[i], &all);
        text_adds(&all, "\n");
    }
    const uint64_t digest = digest_fast(all.data, all.size);
    text_release(&all);
    return digest;
}
