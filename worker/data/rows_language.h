/* rows_language - texts, blocks, prompts with completions: CAUSAL_LM. Each function adds a record's example, or says in
 * *bad why there is none.
 *
 * Threads: one an Examples. */
#ifndef WORKER_DATA_ROWS_LANGUAGE_H
#define WORKER_DATA_ROWS_LANGUAGE_H

#include "worker/data/examples.h"

MUST_USE bool rows_add_text(Examples *x, const Record *r, Err *bad);
MUST_USE bool rows_add_to_blocks(Examples *x, const Record *r, Err *bad);
MUST_USE bool rows_add_completion(Examples *x, const Record *r, Err *bad);

#endif
