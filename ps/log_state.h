/* log_state - where a run is, as records of its log: a log that begins with them goes on from there, and needs no
 * checkpoint below it. Values, moments and all that goes on counting.
 *
 * Threads: one. */
#ifndef PS_LOG_STATE_H
#define PS_LOG_STATE_H

#include "ps/run_state.h"

enum { LOG_STATE_RECORDS = 2 + STORE_PARTS }; /* at most: the counts, the values, the moments */

/* The records of `run` as it is. The floats are lent by its store; *counts, the text of the first record, is the
 * caller's. */
int log_state_make(WalType types[LOG_STATE_RECORDS], WalPart parts[LOG_STATE_RECORDS], char **counts, const Run *run);

/* How many those are. */
int log_state_count(const Run *run);

/* What `count` records behind the first `before` of the log at PATH say goes into the run, where it is newer than what
 * the run has; nothing does where they are not all there. most: bytes of the largest record. */
MUST_USE bool log_state_take(Run *run, const char *path, size_t most, int before, int count, Err *err);

#endif
