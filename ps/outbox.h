/* outbox - the core's replies that wait to be sent, first in, first out.
 *
 * Owner: core. Threads: one. */
#ifndef PS_OUTBOX_H
#define PS_OUTBOX_H

#include "common/wire/message.h"

/* A ring; zeroed is empty. */
typedef struct Outbox {
    Msg *items;
    int head, count, room;
} Outbox;

/* Puts a message at the end, to be filled further; lent until the next call. It owns its text. */
Msg *outbox_add(Outbox *outbox, Msg msg);

/* The oldest, the caller's from now on; false: none. */
bool outbox_take(Outbox *outbox, Msg *msg);

void outbox_release(Outbox *outbox);

#endif
