/* rows - a record becomes an example, by its kind: which rule of Transformers or TRL each kind follows is said in
 * the file of that kind.
 *
 * Owner: the Examples' owner. Threads: one. */
#ifndef WORKER_DATA_ROWS_H
#define WORKER_DATA_ROWS_H

#include "worker/data/examples.h"

/* Adds what the record gives: an example; of BLOCKS none or several. False with *bad set and
 * nothing added. */
MUST_USE bool rows_add(Examples *x, const Record *record, Err *bad);

#endif
