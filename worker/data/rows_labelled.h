/* rows_labelled - a text or a pair with a label, an image with one: SEQ_CLS, IMAGE_CLS. Each function adds a record's
 * example, or says in *bad why there is none.
 *
 * Threads: one an Examples. */
#ifndef WORKER_DATA_ROWS_LABELLED_H
#define WORKER_DATA_ROWS_LABELLED_H

#include "worker/data/examples.h"

MUST_USE bool rows_add_labelled(Examples *x, const Record *r, Err *bad);
MUST_USE bool rows_add_image(Examples *x, const Record *r, Err *bad);

#endif
