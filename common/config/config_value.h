/* config_value - one key's value: from a node, to text, and released.
 *
 * Owner: the Config. Threads: any; a Config belongs to one while it is loaded. */
#ifndef COMMON_CONFIG_CONFIG_VALUE_H
#define COMMON_CONFIG_CONFIG_VALUE_H

#include "common/config/config.h"
#include "common/config/config_table.h"
#include "common/config/config_yaml.h"

/* How relative paths are meant. */
typedef struct ValueBase {
    const char *folder; /* NULL: the working directory */
    bool model_is_name; /* a relative `model` is a hub name, whatever folder there is */
} ValueBase;

/* Replaces the field by the node's value. Errors say what is wrong and what is
 * allowed, and leave `where` to the caller; the field is then empty. */
MUST_USE bool value_read(Config *config, const ConfigKey *key, const YamlNode *node, const ValueBase *base, Err *err);

/* The value as YAML on one line, which value_read takes back. */
void value_print(const Config *config, const ConfigKey *key, Text *out);

void value_release(Config *config, const ConfigKey *key);

/* A node as JSON by YAML 1.2's core schema. NULL: infinite, too large. Owned. */
MUST_USE json_t *value_json(const YamlNode *node, Err *err);

/* The field of a row that has one. */
void *value_field(Config *config, const ConfigKey *key);

#endif
