#include "common/config/config_paste.h"

#include "common/base/mem.h"
#include "common/config/config_value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void pasted_release(Pasted *pasted)
{
    yaml_release(&pasted->value);
    *pasted = (Pasted){ 0 };
}

static void copy_node(YamlNode *to, const YamlNode *from)
{
    *to = (YamlNode){ .kind = from->kind, .line = from->line, .plain = from->plain };
    to->text = from->text ? xstrdup(from->text) : NULL;
    to->key = from->key ? xstrdup(from->key) : NULL;
    for (int i = 0; i < from->count; i++) {
        YamlNode item;
        copy_node(&item, &from->items[i]);
        *yaml_append(to) = item;
    }
}

/* null, or what Python calls so. */
static bool is_null(const YamlNode *node)
{
    return yaml_is_null(node) || (node->kind == YAML_SCALAR && node->plain && strcmp(node->text, "None") == 0);
}

/* null, "", [] and {}: the libraries' ways to say nothing. */
static bool is_nothing(const YamlNode *node)
{
    return is_null(node) || (node->kind != YAML_SCALAR ? node->count == 0 : !node->text[0]);
}

/* A list of one counts as its item. */
static const char *single_word(const YamlNode *node)
{
    if (node->kind == YAML_LIST && node->count == 1)
        node = &node->items[0];
    return node->kind == YAML_SCALAR ? node->text : NULL;
}

static bool same_word(const char *a, const char *b)
{
    if (config_is_number(a) && config_is_number(b))
        return strtod(a, NULL) == strtod(b, NULL);
    return strcasecmp(a, b) == 0;
}

/* A list or map that says what the default says. */
static bool same_tree(const char *initial, const YamlNode *node)
{
    Err none = { 0 };
    YamlNode tree;
    if (!initial || !yaml_read(&tree, initial, strlen(initial), "", &none))
        return false;
    json_t *a = value_json(&tree, &none), *b = value_json(node, &none);
    const bool same = a && b && json_equal(a, b);
    json_decref(a);
    json_decref(b);
    yaml_release(&tree);
    return same;
}

static bool means_the_default(const PeerName *row, const YamlNode *node)
{
    const char *word = single_word(node), *to;
    size_t size;
    if (is_nothing(node) || !word)
        return is_nothing(node) || same_tree(row->initial, node);
    return (row->initial && same_word(row->initial, word)) || config_name_word(row, word, &to, &size);
}

static bool refuse(const PeerName *row, const YamlNode *node, Err *err)
{
    char room[128];
    const char *yet = row->kind == NAME_LATER ? " yet" : "";
    err_set(err, ERR_INPUT, "%s: %s is not supported%s", row->name, yaml_describe(node, room, sizeof room), yet);
    if (row->kind == NAME_LATER)
        return err_hint(err, "remove it (%s)", row->note);
    return err_hint(err, "%s", row->note);
}

static void set_value(Pasted *pasted, const char *key, const YamlNode *node)
{
    pasted->key = config_find(key);
    copy_node(&pasted->value, node);
}

/* Another key, with the same value or the one that the word maps to. */
static bool paste_other(Pasted *pasted, const PeerName *row, const YamlNode *node, Err *err)
{
    const char *word = single_word(node), *to;
    size_t size;
    if (!row->values) {
        set_value(pasted, row->key, node);
        return true;
    }
    if (is_nothing(node))
        return true;
    if (!word || !config_name_word(row, word, &to, &size)) {
        char room[128];
        Text words = { 0 };
        for (const char *v = row->values; *v; v += strcspn(v, "|"), v += *v == '|')
            text_addf(&words, "%s%.*s", v == row->values ? "" : " or ", (int)strcspn(v, "="), v);
        err_set(err, ERR_INPUT, "%s: %s is not supported", row->name, yaml_describe(node, room, sizeof room));
        err_hint(err, "it takes %s%s%s", words.data, row->note ? ": " : "", row->note ? row->note : "");
        text_release(&words);
        return false;
    }
    if (size > 0) {
        pasted->key = config_find(row->key);
        yaml_scalar(&pasted->value, to, size);
        pasted->value.line = node->line;
    }
    return true;
}

/* Transformers 5 has one name for both: a number below 1 is a share of all steps. */
static const char *key_of(const PeerName *row, const YamlNode *node)
{
    const bool warmup = strcmp(row->name, "train.warmup_steps") == 0;
    const char *word = single_word(node);
    if (!warmup || !word || !config_is_number(word))
        return row->key;
    const double v = strtod(word, NULL);
    return v > 0 && v < 1 ? "train.warmup_ratio" : row->key;
}

bool paste_name(Pasted *pasted, const PeerName *row, const YamlNode *node, Text *notes, Err *err)
{
    *pasted = (Pasted){ 0 };
    const ConfigKey *key = row->key ? config_find(row->key) : NULL;
    const bool taken = row->kind == NAME_KEY && (key->flags & KEY_NULL || strcmp(row->initial, "null") != 0);
    if (is_null(node) && !taken)
        return true;
    switch (row->kind) {
    case NAME_KEY:
        if (is_null(node) && !yaml_is_null(node)) { /* None */
            pasted->key = key;
            yaml_scalar(&pasted->value, "null", 4);
        } else {
            set_value(pasted, key_of(row, node), node);
        }
        return true;
    case NAME_BATCH:
    case NAME_SAME:
    case NAME_GREATER:
        set_value(pasted, row->key, node);
        return true;
    case NAME_AS:
        return paste_other(pasted, row, node, err);
    case NAME_ANY:
        if (!means_the_default(row, node))
            text_addf(notes, "%s changes nothing: %s\n", row->name, row->note);
        return true;
    case NAME_ONLY:
    case NAME_LATER:
        return means_the_default(row, node) || refuse(row, node, err);
    }
    return false;
}
