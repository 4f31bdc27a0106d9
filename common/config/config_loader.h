/* config_loader - a configuration on its way: keys and pasted names are set one by one, each with who
 * set it; then what depends on several of them is settled.
 *
 * For config.c only.
 *
 * Owner: config_load, on its stack. Threads: the one that loads. */
#ifndef COMMON_CONFIG_CONFIG_LOADER_H
#define COMMON_CONFIG_CONFIG_LOADER_H

#include "common/config/config_names.h"
#include "common/config/config_value.h"

typedef enum { BY_DEFAULT, BY_FILE, BY_OVERRIDE, BY_PROGRAM } OriginKind;

struct ConfigOrigin {
    OriginKind kind;
    int line; /* BY_FILE */
    const char *alias; /* the name that stood for the key, a row's; NULL: the key's name */
};

/* The value of a name that stands for no key alone: it waits until the others are known. */
typedef struct WaitingKey {
    const PeerName *row; /* NULL: none */
    Text value; /* as it is printed; owned */
    struct ConfigOrigin origin;
} WaitingKey;

typedef struct Loader {
    Config *config;
    const ConfigKey *keys;
    int count;
    ValueBase base;
    OriginKind override; /* what an override counts as */
    WaitingKey device_batch, accumulation, greater, same;
    Text notes;
} Loader;

/* Sets one key, checked, and remembers the origin. Two names of a file that say different things of
 * one key are refused. */
MUST_USE bool loader_set(Loader *l, const ConfigKey *key, const YamlNode *node, struct ConfigOrigin origin, Err *err);

/* The same by a name of LoraConfig or TrainingArguments. */
MUST_USE bool loader_set_name(Loader *l, const PeerName *row, const YamlNode *node, struct ConfigOrigin origin,
                              Err *err);

/* The size of a step from what was given at one level: the file's, then the command line's. */
MUST_USE bool loader_settle_batch(Loader *l, OriginKind level, Err *err);

/* At the end: what waited for other keys is compared with them, what was made of names is noted. */
MUST_USE bool loader_settle_names(Loader *l, Err *err);

void loader_release(Loader *l);

#endif
