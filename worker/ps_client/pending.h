/* pending - messages of a client that want an answer, until they have it. Only this folder includes it.
 *
 * Owner: the client's core. Threads: one at a time. */
#ifndef WORKER_PS_CLIENT_PENDING_H
#define WORKER_PS_CLIENT_PENDING_H

#include "common/wire/message.h"

typedef struct Pending {
    struct Pending *next;
    Msg msg; /* owned, but for data that is lent */
    bool lent;
    bool sent; /* whole, once: from then on it is asked for */
    double due, wait; /* when to send it, or ask; and how long to wait then */
} Pending;

Pending *pending_new(uint64_t client, MsgType type);
void pending_free(Pending *pending); /* NULL is fine */
void pending_soon(Pending *pending); /* is due; NULL is fine */

/* Lists, oldest first. */
void pending_append(Pending **list, Pending *pending); /* due */
void pending_free_all(Pending **list);
void pending_all_soon(Pending *list);

/* When the first of a list is due, if that is before *first; what could not be sent waits for its socket, not for a time. */
void pending_earliest(const Pending *list, double *first);

/* The place in the list of what this ACK answers; NULL: nothing. */
Pending **pending_pushed(Pending **list, const Msg *ack);

/* The place of the PULL that these VALUES answer; NULL: none. */
Pending **pending_part(Pending **list, const Msg *values);

void pending_take_out(Pending **at); /* and frees it */

#endif
