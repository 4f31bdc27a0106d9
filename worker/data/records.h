/* records - rows of a data file with the place they come from.
 *
 * What a row is depends on what is learnt (RowKind); which files hold such rows, the table in
 * records.c says: .csv .tsv (a header row, then rows: records_table.c), .jsonl .json (a list of objects,
 * or an object a line), .conll (a word a line, sentences between blank lines), .txt (lines), each of
 * them packed as .gz or .zst too; folders of class folders with texts (IMDb's layout) or images. Rows
 * are UTF-8 or an error.
 *
 * Threads: one per call. */
#ifndef WORKER_DATA_RECORDS_H
#define WORKER_DATA_RECORDS_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/config/config.h"
#include "worker/tokenizer/tokenizer.h"

#include <stdint.h>

typedef enum {
    ROWS_LABELLED, /* a text or a pair, and a label */
    ROWS_WORDS, /* words, and a tag for each */
    ROWS_TEXTS, /* a text to learn, each an example */
    ROWS_BLOCKS, /* texts that are joined and cut into blocks */
    ROWS_COMPLETIONS, /* a prompt and its completion */
    ROWS_MESSAGES, /* a conversation */
    ROWS_COLUMNS, /* texts that belong together, and perhaps a number: how alike they are */
    ROWS_SOURCES, /* a source and its target, each a text of its own */
    ROWS_IMAGES, /* an image file and a label */
    ROWS_QUESTIONS /* a question, its context, and answers */
} RowKind;

/* Borrowed during the visit. */
typedef struct Record {
    const char *text, *pair; /* pair NULL: none; COMPLETIONS: prompt and completion; QUESTIONS: question
                               and context */
    size_t text_size, pair_size;
    const char *label; /* LABELLED, IMAGES: as text, '\0' behind it; NULL: absent */
    size_t label_size;
    const json_t *label_json; /* of JSON: the value itself, else NULL */
    const json_t *id; /* QUESTIONS: what JSON has under that name, else NULL */
    const char *by; /* a text; NULL: absent */
    size_t by_size;
    WordList words; /* WORDS; COLUMNS: the texts */
    const char *const *tags; /* [words.count]; NULL: absent */
    bool line_a_word; /* word i stands on line + i */
    const json_t *messages; /* MESSAGES: an array */
    const char *image; /* IMAGES: path within `file` */
    const char *file;
    int64_t line; /* 1-based; of the row's first line; 0: the whole file */
} Record;

/* Names of columns or fields; NULL: none. */
typedef struct RecordColumns {
    RowKind kind;
    const char *text, *pair,
        *label; /* COMPLETIONS: text is the prompt, pair the completion; QUESTIONS: question, context,
                                        answers */
    const char *tokens, *tags, *messages;
    const StringList *texts; /* COLUMNS; the number is `label` */
    const char
        *by; /* whom the row is for, where rows are for several; files of other kinds than tables and JSON have none */
    bool labelled; /* a missing label column, or missing tags, are an error */
    const char *form; /* the text is this, filled in (form.h), and `text` is NULL; NULL: none */
} RecordColumns;

/* Called for every row; a row that cannot be used comes with *bad set instead. False stops. */
typedef bool (*RecordVisit)(void *self, const Record *record, Err *bad, Err *err);

/* How the file is read, as the ending that says so (".csv" of train.csv.gz; "/" of a folder). NULL with *err: it
 * is not there, or files of that name hold no such rows; the hint may be a command that makes some that do. */
MUST_USE const char *records_format(const char *path, RowKind kind, Err *err);

/* Whether files that are called so hold rows of this kind. */
bool records_holds(const char *path, RowKind kind);

/* Every row of the file (or folder), in order. False with *err: the file cannot be used at all, or
 * visit said so. */
MUST_USE bool records_read(const char *path, const RecordColumns *columns, RecordVisit visit, void *self, Err *err);

#endif
