/* rows - records become examples: token ids with what is to be learnt from them. One function a kind
 * of row (rows.c says which rule of Transformers or TRL each follows); examples are laid end to end.
 *
 * Owner: dataset_open. Threads: one. */
#ifndef WORKER_DATA_ROWS_H
#define WORKER_DATA_ROWS_H

#include "worker/data/dataset.h"
#include "worker/template/chat_template.h"

/* Zero it, set what comes from outside, release it. Arrays are Texts of bytes. */
typedef struct Rows {
    const DatasetOptions *options;
    const ModelArch *arch;
    const Tokenizer *tokenizer; /* NULL for images */
    const ChatTemplate *chat; /* MESSAGES; else NULL */
    int file; /* index of the file that is read */
    Text start, ids, types, goal, token_goal, images;
    Text image_at; /* int64_t offsets into images, one an example */
    int64_t count, tokens, longest;
    int64_t shared; /* as Dataset's */
    /* while it works */
    Encoding encoding, prompt;
    Text joined; /* a prompt with its completion */
    Text labels; /* int32_t, one a token of the row */
    Text corpus; /* BLOCKS: ids that fill no block yet */
} Rows;

void rows_release(Rows *rows);

/* Adds what the record gives: an example; of BLOCKS none or several. False with *bad set and
 * nothing added. */
MUST_USE bool rows_add(Rows *rows, const Record *record, Err *bad);

/* There is at least one token: of an example without any nothing can be read. */
MUST_USE bool rows_check_some(const Encoding *e, Err *bad);

#endif
