/* monitor - what happens to the connections of a ZeroMQ socket, as its own thread tells.
 *
 * Owner: guard, handshake. Threads: the watched socket's. */
#ifndef COMMON_WIRE_MONITOR_H
#define COMMON_WIRE_MONITOR_H

#include "common/base/err.h"

#include <stdint.h>

/* Where ZMQ_EVENT_... of `events` are told: ZeroMQ's, for monitor_close. zmq_context, watched: ZeroMQ's own; the socket is neither
 * bound nor connected yet. NULL on failure. */
MUST_USE void *monitor_open(void *zmq_context, void *watched, int events, Err *err);
void monitor_close(void *watched, void *monitor); /* before the socket; monitor NULL is fine */

/* The next that is there; false: none. *value: a descriptor, or what the event has to say. */
bool monitor_next(void *monitor, int *event, uint32_t *value);

#endif
