/* save - the points that a run goes on from: run.yaml, and a checkpoint with the log behind it.
 *
 * Threads: one. */
#ifndef PS_SAVE_H
#define PS_SAVE_H

#include "common/base/err.h"

typedef struct Run Run;

/* Renews run->text from the configuration and writes run.yaml. */
MUST_USE bool save_settings(Run *run, Err *err);

/* A checkpoint now, and a log that starts from it; a run that has one, or is over, is synced alone. */
MUST_USE bool save_checkpoint(Run *run, Err *err);

/* Begins a log anew that holds as many steps as it may, with the state of the run in front; where that fails the old
 * one goes on, and it is tried again some steps later. */
void save_cut(Run *run);

#endif
