/* pretokenizer - cuts a normalized text into pieces that the model then takes
 * one by one: tokenizer.json's `pre_tokenizer`, a Sequence being flattened.
 *
 * A new kind is a row of the table in pretokenizer.c.
 *
 * Owner: the tokenizer. Threads: const after reading. */
#ifndef WORKER_TOKENIZER_PRETOKENIZER_H
#define WORKER_TOKENIZER_PRETOKENIZER_H

#include "common/base/err.h"
#include "worker/tokenizer/scratch.h"

#include <jansson.h>

/* What becomes of the characters a text is split at. */
typedef enum {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,             /* each a piece */
    SPLIT_CONTIGUOUS,           /* each run of them a piece */
    SPLIT_MERGED_WITH_PREVIOUS, /* ends the piece before */
    SPLIT_MERGED_WITH_NEXT      /* begins the piece behind */
} SplitBehavior;

typedef struct PreTokenizerOp PreTokenizerOp;

typedef struct PreTokenizerKind {
    const char *name;
    bool (*read)(PreTokenizerOp *op, const json_t *settings, Err *err); /* NULL: no settings */
    /* Makes pre->next of pre->pieces. */
    void (*run)(const PreTokenizerOp *op, PreText *pre);
} PreTokenizerKind;

struct PreTokenizerOp {
    const PreTokenizerKind *kind;
    SplitBehavior behavior; /* Punctuation, Digits */
};

/* Zeroed leaves the text in one piece. */
typedef struct PreTokenizer {
    PreTokenizerOp *ops; /* [count], owned */
    size_t count;
} PreTokenizer;

/* `spec` as in tokenizer.json; NULL or null: none. */
MUST_USE bool pretokenizer_read(PreTokenizer *pretokenizer, const json_t *spec, Err *err);
void pretokenizer_release(PreTokenizer *pretokenizer);

/* pre->pieces of text[0, n), which is lent as long as they are used. */
void pretokenizer_run(const PreTokenizer *pretokenizer, const char *text, size_t n, PreText *pre);

#endif
