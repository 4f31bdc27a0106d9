/* config_yaml - YAML text as a tree whose nodes know their lines.
 *
 * What a run file needs and no more: maps, lists and scalars of one UTF-8
 * document. Anchors, tags, second documents, repeated keys and nesting deeper
 * than YAML_DEPTH are refused, so a small file cannot become a large tree.
 *
 * Owner: the loader, for the time of one load.
 * Threads: any; a tree belongs to one. */
#ifndef COMMON_CONFIG_CONFIG_YAML_H
#define COMMON_CONFIG_CONFIG_YAML_H

#include "common/base/err.h"

#include <stddef.h>

#define YAML_DEPTH 16
#define YAML_MOST_KEYS 4096 /* of one map */
#define YAML_MOST_ITEMS 65536 /* of one list: names of labels */
#define YAML_MOST_BYTES (1024 * 1024) /* of a run file */

typedef enum { YAML_SCALAR, YAML_LIST, YAML_MAP } YamlKind;

typedef struct YamlNode {
    YamlKind kind;
    int line; /* 1-based; of a map's entry: its key's. 0: not from a file */
    bool plain; /* a scalar without quotes, which may mean null, a number, ... */
    char *text; /* of a scalar, owned */
    char *key; /* of a map's entry, owned */
    struct YamlNode *items; /* of a list or map [count], owned */
    int count;
} YamlNode;

/* text[0,size) as a tree; an empty document is an empty map. Errors say
 * "where:LINE". On failure *root is empty. */
MUST_USE bool yaml_read(YamlNode *root, const char *text, size_t size, const char *where, Err *err);
void yaml_release(YamlNode *node);

/* A scalar that was not read from YAML. */
void yaml_scalar(YamlNode *node, const char *text, size_t n);

/* A list's or map's next item, zeroed; lent until the next call. */
YamlNode *yaml_append(YamlNode *parent);

/* Plain and one of nothing, ~, null (YAML 1.2's core schema). */
bool yaml_is_null(const YamlNode *node);

/* "a list", "a map", "'text'" for messages; room for the text's beginning. */
const char *yaml_describe(const YamlNode *node, char *room, size_t size);

#endif
