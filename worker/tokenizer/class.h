/* class - the tokenizer classes of Transformers, by which AutoTokenizer opens a folder.
 *
 * Some classes take only the vocabulary (and merges) of tokenizer.json and set the rest from
 * tokenizer_config.json: do_lower_case, add_prefix_space and the like are obeyed, whatever tokenizer.json says of
 * them. Their parts are written here as tokenizer.json would have them. Other folders, those of
 * PreTrainedTokenizerFast and of classes not listed, are what their tokenizer.json says.
 * Source: Transformers 5, models/auto/tokenization_auto.py and the classes' files.
 *
 * Owner: static. Threads: any. */
#ifndef WORKER_TOKENIZER_CLASS_H
#define WORKER_TOKENIZER_CLASS_H

#include "worker/tokenizer/folder.h"

/* "eos_token": "</s>", where the files name none. */
typedef struct ClassToken {
    const char *key, *token;
} ClassToken;

typedef struct TokenizerClass {
    const char *name;
    const ClassToken *tokens; /* {NULL} behind them */
    bool has_types; /* it gives token_type_ids */
    bool plain_specials; /* special tokens lose lstrip and the like */
    /* Parts but the post-processor, into `whole`, whose model has the vocabulary; NULL: those of the file. */
    void (*build)(json_t *whole, const json_t *config, Err *err);
    /* Its own post-processor, of the tokens [content, id]; NULL: the file's. */
    json_t *(*post)(const json_t *config, json_t *first, json_t *last, Err *err);
    const char *first, *last; /* keys of those tokens */
} TokenizerClass;

/* *found NULL: the folder is what its tokenizer.json says. */
MUST_USE bool class_find(const TokenizerClass **found, const TokenizerFolder *files, Err *err);

/* Whether AutoTokenizer would know a class at all: by tokenizer_config.json or config.json. */
bool class_is_named(const TokenizerFolder *files);

#endif
