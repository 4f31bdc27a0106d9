/* handshake - why a server does not let a DEALER in, from what ZeroMQ's monitor tells: a key that is not allowed, keys on
 * one side only, a server with another key.
 *
 * Owner: common/wire/socket. Threads: the socket's. */
#ifndef COMMON_WIRE_HANDSHAKE_H
#define COMMON_WIRE_HANDSHAKE_H

#include "common/base/err.h"

typedef struct Handshake Handshake;

typedef enum {
    DOOR_OPEN, /* nothing is known against it */
    DOOR_DOUBTFUL, /* it was closed without a word, as a server with another key does, and one that dies */
    DOOR_SHUT /* we are not wanted, and would not be the next time */
} Door;

/* zmq_context, watched: ZeroMQ's own; the socket is not connected yet. keys: it has keys. */
MUST_USE Handshake *handshake_open(void *zmq_context, void *watched, bool keys, Err *err);
void handshake_close(Handshake *handshake); /* before the socket; NULL is fine */

/* What the last try told; *err is set with it, but for DOOR_OPEN. */
Door handshake_door(Handshake *handshake, Err *err);

#endif
