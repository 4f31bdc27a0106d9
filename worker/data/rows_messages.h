/* rows_messages - conversations through the model's chat template: CAUSAL_LM. Adds a record's example, or says in *bad
 * why there is none. What the assistant says is learnt, with the mark that ends its turn (TRL's assistant_only_loss).
 *
 * Threads: one an Examples. */
#ifndef WORKER_DATA_ROWS_MESSAGES_H
#define WORKER_DATA_ROWS_MESSAGES_H

#include "worker/data/examples.h"

MUST_USE bool rows_add_messages(Examples *x, const Record *r, Err *bad);

#endif
