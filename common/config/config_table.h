/* config_table - the rows behind config.h, for the files of common/config.
 *
 * One row a key: what it is called, where its value lies in Config, its default
 * as text, what is allowed, and one line of help. Everything else (reading,
 * checking, printing, --help, comparing) walks these rows.
 *
 * Owner: none, constant tables. Threads: any. */
#ifndef COMMON_CONFIG_CONFIG_TABLE_H
#define COMMON_CONFIG_CONFIG_TABLE_H

#include "common/base/err.h"
#include "common/base/text.h"

#include <stddef.h>

typedef enum {
    KEY_TEXT, /* char * */
    KEY_PATH, /* char *, made absolute */
    KEY_MODEL, /* char *, a folder or a hub name */
    KEY_INT, /* int64_t (or uint64_t, for what is never negative) */
    KEY_REAL, /* double */
    KEY_BOOL, /* bool */
    KEY_WORD, /* an enum: one of `words` */
    KEY_NAMES, /* StringList */
    KEY_PATHS, /* StringList, made absolute */
    KEY_PATTERNS, /* PatternMap, of whole numbers when KEY_WHOLE is set */
    KEY_LABELS, /* Config.labels and label_count */
    KEY_TARGETS, /* lora.target_modules: list, expression, all-linear */
    KEY_EXCLUDES, /* lora.exclude_modules: list or expression */
    KEY_LAYERS, /* lora.layers_to_transform */
    KEY_OBJECT, /* json_t * of any content */
    KEY_FIXED /* no field: only the default is supported in this version */
} KeyType;

enum {
    KEY_NULL = 1, /* may be null: -1, 0, NULL or empty in its field */
    KEY_AUTO = 2, /* an integer that may be `auto`: -1 in its field */
    KEY_ABOVE = 4, /* `min` itself is not allowed */
    KEY_BELOW = 8, /* `max` itself is not allowed */
    KEY_WHOLE = 16, /* patterns map to whole numbers */
    KEY_FREE = 32, /* two runs that differ in it are the same run */
    KEY_BEGUN = 128, /* the run fixes it when it begins: its default there counts as the same run */
    KEY_ADDRESS = 64, /* a text of the form tcp://HOST:PORT */
    KEY_GOING = 256, /* may be changed when a run goes on */
    KEY_ROWS = 1024, /* decides which rows there are, or which of them are held back */
    KEY_LISTED = 2048, /* an object that may be a list, or one of `words` */
    KEY_ALIKE = 512, /* so too, but all who compute must have it alike: the length, what is generated */
};

typedef struct KeyWord {
    const char *name; /* NULL ends the list; "..._N": a whole number from 0 to 99 for N, added to the value */
    int value;
    bool later; /* known, but not supported */
} KeyWord;

typedef struct ConfigKey {
    const char *name; /* dotted */
    KeyType type;
    size_t offset; /* of the field in Config */
    const char *initial; /* default, as text */
    int flags;
    double min, max;
    const KeyWord *words;
    const char *help;
} ConfigKey;

/* Length of the name without its N; 0: it has none. */
int config_word_stem(const KeyWord *word);

/* The rows, in the order they are printed. */
const ConfigKey *config_keys(int *count);

/* NULL: no such key. Index of a row: row - config_keys(). */
const ConfigKey *config_find(const char *name);

/* Names of the sections, NULL behind the last. */
const char *const *config_sections(void);

/* Is it a section ("lora"), which holds keys? */
bool config_is_section(const char *name);

/* The key that `name` was probably meant to be, or NULL (config_nearest.c). */
const char *config_nearest(const char *name);

/* Sets *err: unknown, and the nearest key. Returns false. */
bool config_unknown(const char *name, Err *err);

/* "whole number from 1 to 4096, or null". */
void config_allowed(const ConfigKey *key, Text *out);

/* Text made of YAML's plain notation for numbers; false for 0x10, inf, nan. */
bool config_is_number(const char *text);

#endif
