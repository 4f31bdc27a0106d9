/* checkpoint - a run's values, moments and state as a folder: written whole or not at all, read with every check.
 *
 * Threads: one. */
#ifndef PS_CHECKPOINT_H
#define PS_CHECKPOINT_H

#include "ps/run_state.h"

MUST_USE bool checkpoint_write(Run *run, Err *err); /* and the rotation of old ones */

/* The newest of this run that is whole, into store, state and saved; warns of newer ones that are not. False: there
 * are damaged ones only. */
MUST_USE bool checkpoint_load_newest(Run *run, Err *err);

/* Is it whole, of whichever run? Uses the store up. */
MUST_USE bool checkpoint_check(Run *run, int64_t version, Err *err);

/* A checkpoint's values into the store, which stays as it is on failure. */
MUST_USE bool checkpoint_load_values(Run *run, int64_t version, Err *err);

#endif
