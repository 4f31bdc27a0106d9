/* outgoing - messages as ZeroMQ's frames, and bytes that many of them carry without a copy for each. Only this folder
 * includes it, but for WireBytes (socket.h).
 *
 * Owner: the socket. Threads: the socket's; ZeroMQ's own let go of shared bytes by themselves. */
#ifndef COMMON_WIRE_OUTGOING_H
#define COMMON_WIRE_OUTGOING_H

#include "common/wire/socket.h"

#include <zmq.h>

/* A message to a peer, whole. */
typedef struct Outgoing {
    struct Outgoing *next;
    WireId to;
    zmq_msg_t *parts; /* [count], owned */
    int count;
    bool heavy; /* it carries a tensor */
} Outgoing;

/* header is taken: it lives in the first part. bytes: NULL, or what msg->data says, shared. */
Outgoing *outgoing_new(const WireId *to, char *header, size_t header_size, const Msg *msg, const WireBytes *bytes);
void outgoing_free(Outgoing *outgoing);

/* Messages of a list to this peer; *heavy: those with a tensor. */
int outgoing_count(const Outgoing *list, const WireId *to, int *heavy);

#endif
