/* records_parts - what the readers of the file formats share. Only worker/data/records*.c includes
 * it.
 *
 * Threads: one a reader. */
#ifndef WORKER_DATA_RECORDS_PARTS_H
#define WORKER_DATA_RECORDS_PARTS_H

#include "common/base/form.h"
#include "worker/data/records.h"
#include "worker/data/source.h"

typedef struct RecordReader {
    const char *path;
    const RecordColumns *columns;
    RecordVisit visit;
    void *self;
    Err *err;
} RecordReader;

/* Checks the record's texts, places *bad, and calls the visitor. */
MUST_USE bool records_give(const RecordReader *reader, const Record *record, Err *bad);

/* The record's text: columns->form, with the fields of its row. Lent by *filled. */
void records_fill(Record *record, Text *filled, const RecordColumns *columns, FormField field, void *self, Err *bad);

MUST_USE bool records_csv(RecordReader *reader);
MUST_USE bool records_tsv(RecordReader *reader);
MUST_USE bool records_json(RecordReader *reader);
MUST_USE bool records_conll(RecordReader *reader);

/* Whether an opened .json file is one of SQuAD's own; its questions. */
bool records_is_squad(const RecordReader *reader, const Source *source);
MUST_USE bool records_squad(RecordReader *reader, const Source *source);

#endif
