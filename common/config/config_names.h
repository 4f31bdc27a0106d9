/* config_names - the names of PEFT's LoraConfig and of Transformers' TrainingArguments (5 and 4),
 * and what becomes of each in a run file.
 *
 * One row a name: the library's default, whether it is a key here, stands for another key, changes
 * nothing here, or is refused with what to write instead. Keys of later versions are rows too. What
 * people paste, --help=names, --help=keys' list of other defaults, and the schema walk these rows;
 * tests/interop/names.py compares them with the installed libraries.
 *
 * Threads: any. */
#ifndef COMMON_CONFIG_CONFIG_NAMES_H
#define COMMON_CONFIG_CONFIG_NAMES_H

#include "common/base/text.h"

typedef enum {
    NAME_KEY, /* the key has the same name and meaning; `note`: why the default differs */
    NAME_AS, /* another key; `values` maps words ("true=bf16|false="; "": nothing is set) */
    NAME_BATCH, /* a factor of train.batch_size */
    NAME_SAME, /* must say what `key` says: null, or its value */
    NAME_GREATER, /* the direction of the best metric, which follows from the metric */
    NAME_ANY, /* every value is accepted and changes nothing; `note`: why */
    NAME_ONLY, /* accepted: the default, nothing, `values` ("a|b"); `note`: what to write instead */
    NAME_LATER /* as NAME_ONLY, for what is not supported yet; `note`: what it is */
} NameKind;

typedef struct PeerName {
    const char *name; /* as a run file spells it: "train.fp16" */
    const char *initial; /* the library's default, as YAML; NULL: a name of neither class */
    NameKind kind;
    const char *key;
    const char *values;
    const char *note;
} PeerName;

/* The rows, in the libraries' order. */
const PeerName *config_names(int *count);

/* NULL: no such name. */
const PeerName *config_name_find(const char *name);

/* A key, or a name that stands for one. */
bool config_known(const char *name);

/* A word among `values`: what it maps to, to[0, *size); a word without '=' maps to nothing. */
bool config_name_word(const PeerName *row, const char *word, const char **to, size_t *size);

/* Is the default here another than the library's? Only rows with a `note` may be. */
bool config_name_differs(const PeerName *row);

/* "works as train.eval_strategy", "accepted at its default: ...". */
void config_name_behaviour(const PeerName *row, Text *out);

/* For --help: all names; and those whose default here is another. */
void config_names_help(Text *out);
void config_differences_help(Text *out);

#endif
