/* going - a run that is in the folder goes on, perhaps longer or with other logging, evaluations and checkpoints.
 * In the order of opening.
 *
 * Threads: one. */
#ifndef PS_GOING_H
#define PS_GOING_H

#include "ps/run_state.h"

MUST_USE bool going_compare(Run *run, Err *err); /* with run.yaml; ERR_INPUT names the keys */
MUST_USE bool going_settle(Run *run, Err *err); /* behind the replay: the length of now */
MUST_USE bool going_complete(Run *run, Err *err); /* instead, where it is complete: stays so, or goes on */

#endif
