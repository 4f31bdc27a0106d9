/* answers - the wanted answers of a question, as rows of several kinds write them down: {"text": [...], "answer_start":
 * [...]} (lists, or one of each), a list of {"text", "answer_start"}, null; in a table's cell, any of these as JSON.
 *
 * Only worker/data includes this.
 *
 * Owner: whoever holds the WantedAnswers. Threads: one a list. */
#ifndef WORKER_DATA_ANSWERS_H
#define WORKER_DATA_ANSWERS_H

#include "worker/data/records.h"

typedef struct Answer {
    const char *text;
    size_t size;
    int64_t begin, end; /* of the first: characters of the context */
} Answer;

/* Zeroed is empty. */
typedef struct WantedAnswers {
    Answer *list; /* [count], owned; texts are the record's, or `cell`'s */
    int64_t count;
    json_t *cell; /* of a table's row; owned */
} WantedAnswers;

/* False with *bad: not of these kinds, or the first answer, which is learnt, does not stand in the context where it says. Of
 * the others only the texts are compared. */
MUST_USE bool answers_read(WantedAnswers *answers, const Record *record, Err *bad);
void answers_release(WantedAnswers *answers);

#endif
