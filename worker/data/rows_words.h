/* rows_words - words with tags: TOKEN_CLS. Each function adds a record's example, or says in
 * *bad why there is none.
 *
 * Threads: one an Examples. */
#ifndef WORKER_DATA_ROWS_WORDS_H
#define WORKER_DATA_ROWS_WORDS_H

#include "worker/data/examples.h"

MUST_USE bool rows_add_words(Examples *x, const Record *r, Err *bad);

#endif
