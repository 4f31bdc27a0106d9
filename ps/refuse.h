/* refuse - does a worker compute this run, with this run file, model, data, micro-batches and arithmetic?
 *
 * Threads: one. */
#ifndef PS_REFUSE_H
#define PS_REFUSE_H

#include "common/wire/message.h"
#include "ps/run_state.h"

/* NULL: it does; else a sentence that says what differs, the caller's. first: of those who wait for the start with
 * it; NULL: nobody does. */
char *refuse_worker(const Run *run, const Msg *hello, const HelloFacts *first);

#endif
