/* rows_columns - texts that belong together: FEATURE_EXTRACTION. Each becomes an example of its own, those of a row one
 * behind the other, all with the row's number. Adds a record's, or says in *bad why there are none.
 *
 * Threads: one an Examples. */
#ifndef WORKER_DATA_ROWS_COLUMNS_H
#define WORKER_DATA_ROWS_COLUMNS_H

#include "worker/data/examples.h"

MUST_USE bool rows_add_columns(Examples *x, const Record *r, Err *bad);

#endif
