/* world - the run as the core asks it (CoreWorld): begin, who may join, apply a step, what comes next, evaluations.
 *
 * Threads: one. */
#ifndef PS_WORLD_H
#define PS_WORLD_H

#include "ps/core.h"

typedef struct Run Run;

CoreOptions world_options(const Run *run); /* where it goes on, and how; the list of missing steps is lent */

/* Borrows the run. */
CoreWorld world_of(Run *run);

#endif
