/* socket - messages over ZeroMQ. The only place that knows zmq.h.
 *
 * A server binds two ROUTERs, one for data and one for control, so that a heartbeat never waits
 * behind a gradient; a client connects a DEALER to each.
 *
 *   The control port is the data port + 1.
 *
 * So one address, the data socket's, names both. With port 0 or `*` the server tries free ports
 * until both of a pair are free (wire_bind_pair).
 *
 * Nothing here blocks but wire_wait. ZeroMQ reconnects, but what was under way is lost, and what
 * finds a peer's pipe full may be dropped: whoever asked asks again. ZeroMQ's own heartbeats stay
 * off: with bounded queues libzmq 4.3.4 aborts on them (libzmq issue 3937) or cuts healthy peers.
 *
 * Owner: ps/server, worker/ps_client, launch. Threads: a socket belongs to one thread; the context
 * may be shared. */
#ifndef COMMON_WIRE_SOCKET_H
#define COMMON_WIRE_SOCKET_H

#include "common/wire/handshake.h"
#include "common/wire/keys.h"
#include "common/wire/message.h"

typedef struct WireContext WireContext;
typedef struct WireSocket WireSocket;

/* Who a ROUTER's message came from: the routing id that the peer's DEALER drew at random. */
typedef struct WireId {
    uint8_t size;
    uint8_t bytes[31];
} WireId;

MUST_USE WireContext *wire_context_open(Err *err);

/* What is bound or connected from now on is encrypted, and both sides are known by their keys: without this everybody who
 * can connect can speak. folder: of a server, where its list of clients is; else NULL. */
MUST_USE bool wire_secure(WireContext *context, const WireKeys *keys, const char *folder, Err *err);

/* Close all its sockets before. Waits at most two seconds for what is still to be sent. */
void wire_context_close(WireContext *context);

/* address: of the data socket (common/base/address.h); PORT 0 or `*`: any. */
MUST_USE bool wire_bind_pair(WireContext *context, const char *address, WireSocket **data, WireSocket **control,
                             Err *err);

/* Two DEALERs. Succeeds whether a server is there or not. A name with IPv6 numbers alone is reached
 * by these. */
MUST_USE bool wire_connect_pair(WireContext *context, const char *address, WireSocket **data, WireSocket **control,
                                Err *err);
void wire_close(WireSocket *socket); /* NULL is fine */

/* Bytes of tensor that a message may carry from now on; 0 at first. */
void wire_limit(WireSocket *socket, size_t most_tensor);

/* What it is bound to: "tcp://127.0.0.1:41233". Borrowed; "" for a DEALER. */
const char *wire_endpoint(const WireSocket *socket);

typedef enum {
    WIRE_SENT, /* on its way, or in the socket's own queue */
    WIRE_LATER, /* the peer is gone, not there yet, or takes no more: try again later */
    WIRE_BAD /* *err is set: this message cannot travel */
} WireSent;

/* to: the peer for a ROUTER, NULL for a DEALER. Copies what it needs of msg. A ROUTER queues what
 * a slow peer does not take at once: WIRE_QUEUE messages for each, WIRE_HEAVY of them with a tensor. */
#define WIRE_QUEUE 32
#define WIRE_HEAVY 4
WireSent wire_send(WireSocket *socket, const WireId *to, const Msg *msg, Err *err);

/* Bytes that many messages carry, one copy for all: who made them may free them at once, and they go when the last message
 * has left. At most WIRE_FRAME_BYTES. */
typedef struct WireBytes WireBytes;
WireBytes *wire_bytes_new(const void *data, size_t size);
void wire_bytes_free(WireBytes *bytes); /* NULL is fine */

/* As wire_send; bytes are msg's data. */
WireSent wire_send_shared(WireSocket *socket, const WireId *to, const Msg *msg, const WireBytes *bytes, Err *err);

typedef enum { WIRE_NOTHING, WIRE_MESSAGE, WIRE_MALFORMED } WireReceived;

/* The next message, checked whole: frames, header, sizes (before a byte of the tensor is kept),
 * checksum. from: filled for a ROUTER, also with WIRE_MALFORMED. The caller owns *msg. */
WireReceived wire_receive(WireSocket *socket, Msg *msg, WireId *from, Err *err);

/* Of a ROUTER: a peer whose connection has ended since; false: none more. It may be there again, under the same id. */
bool wire_gone(WireSocket *socket, WireId *id);
bool wire_same_id(const WireId *a, const WireId *b);

/* Waits until a socket has something or can go on sending, fd (-1: none) is readable, a signal
 * came, or the time is over. */
void wire_wait(WireSocket *const *sockets, int count, int fd, double seconds);

/* Of a DEALER: what its last handshake told; *err is set with it, but for DOOR_OPEN. */
Door wire_door(WireSocket *socket, Err *err);

/* Bytes out and in so far: frames, plus an estimate of their framing: 2 or 9 bytes ZMTP a frame
 * (below 256 bytes, or above) and 33 of its seal where there are keys, and 66 bytes Ethernet, IPv4 and TCP (with timestamps) for each
 * 1448 bytes begun, and a bare TCP acknowledgement of 66 for each fourth of these (TCP sends one
 * for two, or fewer where the card joins segments). Handshakes are not in it. */
void wire_traffic(const WireSocket *socket, int64_t *out, int64_t *in);

#endif
