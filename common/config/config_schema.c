#include "common/config/config_schema.h"

#include "common/config/config_names.h"
#include "common/config/config_value.h"

#include <math.h>
#include <string.h>

/* ---- parts ---- */

static json_t *type(const char *name)
{
    return json_pack("{s:s}", "type", name);
}

/* A text; YAML takes 5 and true without quotes for something else, the programs do not mind. */
static json_t *scalar(void)
{
    return json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean");
}

/* One, or a list of them. Takes `item`. */
static json_t *one_or_many(json_t *item)
{
    json_t *list = json_pack("{s:s,s:O}", "type", "array", "items", item);
    return json_pack("{s:[o,o]}", "anyOf", item, list);
}

static json_t *bound(double v)
{
    return v == floor(v) && fabs(v) < 9e15 ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *number(const ConfigKey *key, bool whole)
{
    json_t *schema = type(whole ? "integer" : "number");
    json_object_set_new(schema, key->flags & KEY_ABOVE ? "exclusiveMinimum" : "minimum", bound(key->min));
    json_object_set_new(schema, key->flags & KEY_BELOW ? "exclusiveMaximum" : "maximum", bound(key->max));
    return schema;
}

/* A word as YAML reads it: true is a truth value; "no" is one to YAML 1.1. */
static void add_word(json_t *words, const char *word, size_t n)
{
    const bool yes = n == 4 && strncmp(word, "true", n) == 0;
    const bool no = n == 5 && strncmp(word, "false", n) == 0;
    if (yes || no)
        json_array_append_new(words, json_boolean(yes));
    else
        json_array_append_new(words, json_stringn(word, n));
    if (n == 2 && strncmp(word, "no", n) == 0)
        json_array_append_new(words, json_false());
}

static json_t *or_else(json_t *schema, json_t *other)
{
    return json_pack("{s:[o,o]}", "anyOf", schema, other);
}

static json_t *words_of(const ConfigKey *key)
{
    json_t *words = json_array(), *pattern = NULL;
    for (const KeyWord *w = key->words; w->name; w++)
        if (config_word_stem(w) > 0)
            pattern = json_sprintf("^%.*s[0-9]{1,2}$", config_word_stem(w), w->name);
        else if (!w->later)
            add_word(words, w->name, strlen(w->name));
    if (key->flags & KEY_NULL)
        json_array_append_new(words, json_null());
    json_t *listed = json_pack("{s:o}", "enum", words);
    return pattern ? or_else(listed, json_pack("{s:s,s:o}", "type", "string", "pattern", pattern)) : listed;
}

static json_t *from_yaml(const char *text)
{
    YamlNode node;
    Err err = { 0 };
    json_t *value = yaml_read(&node, text, strlen(text), "", &err) ? value_json(&node, &err) : NULL;
    yaml_release(&node);
    REQUIRE(value);
    return value;
}

static json_t *object_of(const ConfigKey *key)
{
    json_t *schema = key->flags & KEY_LISTED ? json_pack("{s:[s,s]}", "type", "object", "array") : type("object");
    return key->words ? or_else(words_of(key), schema) : schema;
}

/* ---- one key ---- */

static json_t *kind_of(const ConfigKey *key)
{
    switch (key->type) {
    case KEY_TEXT:
        return scalar();
    case KEY_PATH:
    case KEY_MODEL:
        return type("string");
    case KEY_INT:
    case KEY_REAL:
        return number(key, key->type == KEY_INT);
    case KEY_BOOL:
        return type("boolean");
    case KEY_NAMES:
    case KEY_EXCLUDES:
    case KEY_TARGETS:
        return one_or_many(scalar());
    case KEY_PATHS:
        return one_or_many(type("string"));
    case KEY_PATTERNS:
        return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", number(key, key->flags & KEY_WHOLE));
    case KEY_LABELS:
        return json_pack("{s:[o,{s:s,s:o}]}", "anyOf", number(key, true), "type", "array", "items", scalar());
    case KEY_LAYERS:
        return one_or_many(number(key, true));
    case KEY_OBJECT:
        return object_of(key);
    case KEY_WORD:
        return words_of(key);
    case KEY_FIXED:
        return key->words ? words_of(key) : json_pack("{s:o}", "const", from_yaml(key->initial));
    }
    return NULL;
}

static json_t *values_of(const ConfigKey *key)
{
    json_t *schema = kind_of(key);
    const bool listed = key->type == KEY_WORD || key->type == KEY_FIXED || (key->type == KEY_OBJECT && key->words);
    if (key->flags & KEY_AUTO)
        schema = or_else(schema, json_pack("{s:s}", "const", "auto"));
    return key->flags & KEY_NULL && !listed ? or_else(schema, type("null")) : schema;
}

/* null: whatever the key's flags say. */
static json_t *of_key(const ConfigKey *key, bool null)
{
    json_t *schema = values_of(key);
    if (null && !(key->flags & KEY_NULL))
        schema = or_else(schema, type("null"));
    json_object_set_new(schema, "description", json_string(key->help));
    json_object_set_new(schema, "default", from_yaml(key->initial));
    return schema;
}

/* ---- one name ---- */

/* What the libraries write for nothing, the default, and the listed words. */
static json_t *only(const PeerName *row)
{
    json_t *values = json_pack("[n,s,[],{}]", "");
    for (const char *v = row->values; v && *v; v += strcspn(v, "|"), v += *v == '|')
        if (v[strcspn(v, "=|")] != '=' || row->kind == NAME_AS)
            add_word(values, v, strcspn(v, "=|"));
    if (row->initial && strcmp(row->initial, "null") != 0)
        json_array_append_new(values, from_yaml(row->initial));
    return json_pack("{s:o}", "enum", values);
}

static json_t *of_name(const PeerName *row)
{
    const ConfigKey *key = row->key ? config_find(row->key) : NULL;
    json_t *schema = NULL;
    switch (row->kind) {
    case NAME_KEY:
        schema = of_key(key, strcmp(row->initial, "null") == 0);
        if (strcmp(row->name, "train.warmup_steps") == 0) /* below 1 a share of all steps */
            json_object_set_new(schema, "type", json_string("number"));
        return schema;
    case NAME_AS:
        schema = row->values ? only(row) : or_else(values_of(key), type("null"));
        break;
    case NAME_BATCH:
    case NAME_SAME:
        schema = or_else(values_of(key), type("null"));
        break;
    case NAME_GREATER:
        schema = or_else(type("boolean"), type("null"));
        break;
    case NAME_ANY:
        schema = json_object();
        break;
    case NAME_ONLY:
    case NAME_LATER:
        schema = only(row);
        break;
    }
    Text help = { 0 };
    config_name_behaviour(row, &help);
    json_object_set_new(schema, "description", json_string(help.data));
    text_release(&help);
    return schema;
}

/* ---- the whole ---- */

/* Where the properties of a dotted name's section are; made when it is the first. Lent. */
static json_t *properties_of(json_t *root, const char *name, const char **last)
{
    const char *dot = strchr(name, '.');
    json_t *all = json_object_get(root, "properties");
    *last = dot ? dot + 1 : name;
    if (!dot)
        return all;
    json_t *section = json_object_getn(all, name, (size_t)(dot - name));
    if (!section) {
        section = json_pack("{s:[s,s],s:{},s:b}", "type", "object", "null", "properties", "additionalProperties", 0);
        json_object_setn_new(all, name, (size_t)(dot - name), section);
    }
    return json_object_get(section, "properties");
}

json_t *config_schema(void)
{
    json_t *root = json_pack("{s:s,s:s,s:s,s:{},s:b}", "$schema", "http://json-schema.org/draft-07/schema#", "title",
                             "run file of lora", "type", "object", "properties", "additionalProperties", 0);
    int keys, names;
    const char *last;
    const ConfigKey *key = config_keys(&keys);
    const PeerName *row = config_names(&names);
    for (int i = 0; i < keys; i++)
        if (!config_name_find(key[i].name)) {
            json_t *properties = properties_of(root, key[i].name, &last);
            json_object_set_new(properties, last, of_key(&key[i], false));
        }
    for (int i = 0; i < names; i++) {
        json_t *properties = properties_of(root, row[i].name, &last);
        json_object_set_new(properties, last, of_name(&row[i]));
    }
    return root;
}
