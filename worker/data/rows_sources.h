/* rows_sources - rows of a source and its target: two texts, which the model's two stacks read and write.
 *
 * Threads: one. */
#ifndef WORKER_DATA_ROWS_SOURCES_H
#define WORKER_DATA_ROWS_SOURCES_H

#include "worker/data/examples.h"

/* SOURCES: the source's tokens, of type 0, then what the target is read from, of type 1: the token that all targets
 * begin behind, and the target but for its last. Goals are the target's tokens, each where it is to be said. */
MUST_USE bool rows_add_source(Examples *x, const Record *record, Err *bad);

#endif
