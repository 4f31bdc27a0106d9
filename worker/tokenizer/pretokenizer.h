/* pretokenizer - cuts a normalized text into pieces that the model then takes
 * one by one: tokenizer.json's `pre_tokenizer`, a Sequence being flattened.
 *
 * A new kind is a row of the table in pretokenizer.c.
 *
 * Owner: the tokenizer. Threads: const after reading. */
#ifndef WORKER_TOKENIZER_PRETOKENIZER_H
#define WORKER_TOKENIZER_PRETOKENIZER_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "worker/tokenizer/pattern.h"
#include "worker/tokenizer/scratch.h"

typedef struct PreTokenizerOp PreTokenizerOp;

typedef struct PreTokenizerKind {
    const char *name;
    bool (*read)(PreTokenizerOp *op, const json_t *settings, Err *err); /* NULL: no settings */
    /* Makes pre->next of pre->pieces. */
    void (*run)(const PreTokenizerOp *op, PreText *pre);
} PreTokenizerKind;

typedef enum { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER } PrependScheme;

struct PreTokenizerOp {
    const PreTokenizerKind *kind;
    SplitBehavior behavior; /* Punctuation, Digits, Split */
    bool invert; /* Split */
    Pattern pattern; /* Split */
    char mark[4]; /* Metaspace: what a space becomes; CharDelimiterSplit */
    size_t mark_size;
    PrependScheme prepend; /* Metaspace */
    bool split; /* Metaspace */
    bool prefix_space, use_regex, raw; /* ByteLevel; raw: the model maps the bytes */
};

/* Zeroed leaves the text in one piece. */
typedef struct PreTokenizer {
    PreTokenizerOp *ops; /* [count], owned */
    size_t count;
} PreTokenizer;

/* `spec` as in tokenizer.json; NULL or null: none. */
MUST_USE bool pretokenizer_read(PreTokenizer *pretokenizer, const json_t *spec, Err *err);
void pretokenizer_release(PreTokenizer *pretokenizer);

/* Whether bytes become letters of the byte-level alphabet as the last step: a model may
 * then take the bytes themselves (set_raw), which is the same and faster. */
bool pretokenizer_ends_in_bytes(const PreTokenizer *pretokenizer);
void pretokenizer_set_raw(PreTokenizer *pretokenizer);

/* pre->text and pre->pieces of `text`, which is lent as long as they are used. */
void pretokenizer_run(const PreTokenizer *pretokenizer, const Aligned *text, PreText *pre);

/* {"prepend_scheme", or of old "add_prefix_space"} of Metaspace. */
MUST_USE bool prepend_scheme_read(PrependScheme *scheme, const json_t *settings, Err *err);

/* The kinds that rewrite their text, in metaspace.c. */
bool metaspace_read(PreTokenizerOp *op, const json_t *settings, Err *err);
void metaspace_run(const PreTokenizerOp *op, PreText *pre);
bool byte_level_read(PreTokenizerOp *op, const json_t *settings, Err *err);
void byte_level_run(const PreTokenizerOp *op, PreText *pre);

#endif
