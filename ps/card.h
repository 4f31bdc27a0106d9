/* card - what is in an adapter's folder for people and for PEFT's users: README.md with data, settings,
 * metrics, a picture of the loss and code that loads the adapter; loss.svg; labels.json with the names of
 * the labels, which an adapter's own files have no place for.
 *
 * Threads: one. */
#ifndef PS_CARD_H
#define PS_CARD_H

#include "ps/run_state.h"

/* A README.md that is there and is no card of a run stays: a project may have its own in output_dir. */
MUST_USE bool card_write(const Run *run, const char *folder, Err *err);

/* Is README.md in the folder ours, or none there? */
bool card_is_own(const char *folder);

#endif
