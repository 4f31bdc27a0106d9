/* greet - who may join, as the core's world says, and when a new run begins. The core's, which alone uses it.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_GREET_H
#define PS_GREET_H

#include "ps/core.h"

void greet_hello(PsCore *core, const Msg *msg, double now);

/* A new run begins when its first job is complete (so that M fits it), or has had its time. */
void greet_begin_when_complete(PsCore *core, double now);

#endif
