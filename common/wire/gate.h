/* gate - lets in who has a key: answers ZeroMQ's question about each client that knocks (ZAP, ZeroMQ RFC 27), from the list
 * of a folder of keys (common/wire/keys.h), which is read again when it changes.
 *
 * It fails closed: who is not on the list gets no further than the handshake, and a list that cannot be read lets nobody
 * new in; who was let in by the last good one stays. Whoever is struck off the list is cut.
 *
 * Owner: common/wire/socket, a gate a context. Threads: that of the server's sockets. */
#ifndef COMMON_WIRE_GATE_H
#define COMMON_WIRE_GATE_H

#include "common/wire/keys.h"

typedef struct Gate Gate;

/* zmq_context: ZeroMQ's own; before any socket of it is bound. */
MUST_USE Gate *gate_open(void *zmq_context, const char *folder, Err *err);
void gate_close(Gate *gate); /* NULL is fine */

/* The socket that is readable when somebody knocks: ZeroMQ's own, lent. */
void *gate_socket(const Gate *gate);

/* Answers all who knock; reads the list again when it is another. */
void gate_answer(Gate *gate);

/* Is it still allowed, of a message's User-Id? NULL (no such property) never is. */
bool gate_lets(const Gate *gate, const char *user);

/* The domain that the sockets name. */
#define GATE_DOMAIN "lora"

#endif
