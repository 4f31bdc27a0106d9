/* silence - how long a server has said nothing: told to a person, and in the end too long. Only this folder includes it.
 *
 * Owner: the client's core. Threads: one at a time. */
#ifndef WORKER_PS_CLIENT_SILENCE_H
#define WORKER_PS_CLIENT_SILENCE_H

#include "common/base/err.h"

typedef struct Silence {
    const char *address; /* borrowed */
    double heartbeat, patience; /* seconds */
    double heard; /* when the server last said something */
    double told; /* seconds of its silence that a person was told of; 0: none */
    double before; /* the time that was noted last */
} Silence;

/* Silence counts only while we listen: a node that was frozen itself blames nobody. */
void silence_note_time(Silence *silence, double now);

/* True: longer than the patience; *err says so. Says what a person should know meanwhile. */
bool silence_is_too_long(Silence *silence, double now, Err *err);

#endif
