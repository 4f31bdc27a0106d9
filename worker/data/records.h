/* records - rows of a data file with the place they come from.
 *
 * .csv .tsv (header row; RFC 4180 quotes), .jsonl (an object a line), a folder of class folders with
 * .txt files (IMDb's layout). Rows are UTF-8 or an error.
 *
 * Threads: one per call. */
#ifndef WORKER_DATA_RECORDS_H
#define WORKER_DATA_RECORDS_H

#include "common/base/err.h"
#include "common/base/text.h"

#include <jansson.h>
#include <stdint.h>

typedef struct Record {
    const char *text, *pair; /* pair NULL: none */
    size_t text_size, pair_size;
    const char *label;       /* as text; NULL: absent */
    const json_t *label_json; /* jsonl only: the value itself, else NULL */
    const char *file;
    int64_t line;            /* 1-based; of the row's first line; 0: the whole file */
} Record;

typedef struct RecordColumns {
    const char *text, *pair, *label; /* pair may be NULL */
    bool labelled;           /* a missing label column is an error */
} RecordColumns;

/* Called for every row; a row that cannot be used comes with *bad set instead. False stops. */
typedef bool (*RecordVisit)(void *self, const Record *record, Err *bad, Err *err);

/* Every row of the file (or folder), in order. False with *err: the file cannot be used at all, or
 * visit said so. */
MUST_USE bool records_read(const char *path, const RecordColumns *columns, RecordVisit visit, void *self,
                           Err *err);

#endif
