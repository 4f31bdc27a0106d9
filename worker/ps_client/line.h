/* line - the thread of a PsClient that alone touches its sockets: it sends what is due, until it is
 * answered, and takes what comes. Only this folder includes it.
 *
 * Owner: the PsClient. Threads: the line's, but for what says otherwise. */
#ifndef WORKER_PS_CLIENT_LINE_H
#define WORKER_PS_CLIENT_LINE_H

#include "common/wire/socket.h"
#include "worker/ps_client/ps_client.h"

#include <pthread.h>
#include <stdatomic.h>

/* A message that wants an answer. */
typedef struct Pending {
    struct Pending *next;
    Msg msg; /* owned, but for data that is lent */
    bool lent, sent;
    double due, wait; /* when to send it (again), and how long to wait then */
} Pending;

struct PsClient {
    WireContext *context;
    WireSocket *data, *control; /* the line's */
    int wake; /* eventfd: something is there to be sent */
    char *address; /* owned */
    double heartbeat, patience;
    pthread_t line;
    atomic_int_fast64_t up, down;
    uint64_t id;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t answered;
    Pending *pushes; /* unacknowledged, oldest first */
    Pending *parts; /* PULLs of pieces of the values, unanswered, oldest first */
    float *values; /* [slot_size] where they go, lent while there are any */
    bool moved; /* the server has another version now */
    double patient; /* seconds of silence until something unanswered is sent again: longer once it was too short */
    Pending *request; /* the caller's one ASK, HELLO, PULL or BYE; NULL when it is answered */
    Msg answer; /* to the last request */
    Msg stop; /* a LEASE_STOP: the last word, whenever it comes */
    bool stopped;
    Pending *hello; /* kept to say it again; owned */
    bool welcome; /* the server knew us once */
    bool known; /* and does so now, as far as we know */
    bool restarted; /* it was greeted again: its version may lie behind the one we hold */
    uint64_t run, plan; /* 0: not known yet */
    int64_t slot_size;
    _Atomic int64_t rss_bytes;
    double heard; /* when the server last said something */
    double told; /* seconds of its silence that a person was told of; 0: none */
    Err failed; /* for good: every call gives it */
    bool closing;
};

/* Any thread. The message is the caller's until it is put into the client. */
Pending *pending_new(const PsClient *client, MsgType type);
void pending_free(Pending *pending); /* NULL is fine */
void pending_send_soon(Pending *pending); /* with the lock held, once the client has it; NULL is fine */

/* The thread, until client->closing. */
void *line_main(void *client);

#endif
