/* guard - cuts connections to a ROUTER that send what never becomes a message.
 *
 * libzmq bounds a frame and counts whole messages, but keeps the frames of an unfinished message
 * without limit and without telling anybody. So the guard compares what the kernel has received on
 * each connection with what came out of the socket: who owes more than a whole message, twice in a
 * row, is cut, and so is whoever has not said anything yet when there are too many. A client that is
 * cut by mistake connects again and repeats what was not answered.
 *
 * Owner: common/wire/socket. Threads: the socket's. */
#ifndef COMMON_WIRE_GUARD_H
#define COMMON_WIRE_GUARD_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Guard Guard;

/* zmq_context, watched: ZeroMQ's own; the socket is not bound yet. */
MUST_USE Guard *guard_open(void *zmq_context, void *watched, Err *err);
void guard_close(Guard *guard); /* before the socket; NULL is fine */

/* A frame of `size` bytes came out of the socket, from the connection with this descriptor. */
void guard_count(Guard *guard, int fd, size_t size);

/* Cuts that connection, and says why; one that is not known is left alone. */
void guard_cut(Guard *guard, int fd, const char *why);

/* A message of this connection was none; of more than GUARD_FAULTS it is cut. NULL is fine. */
#define GUARD_FAULTS 256
void guard_fault(Guard *guard, int fd);

/* The peer of this connection has that name, of at most GUARD_NAME bytes. */
#define GUARD_NAME 31
void guard_name(Guard *guard, int fd, const void *name, size_t size);
/* A named peer whose connection has ended since; false: none more. */
bool guard_gone(Guard *guard, void *name, size_t *size);

/* Nothing whole is left in the socket. */
void guard_empty(Guard *guard);

/* Looks after the connections, when it is time to; wants to be called 50 times a second.
 * most: bytes of the largest message. */
void guard_look(Guard *guard, size_t most);

#endif
