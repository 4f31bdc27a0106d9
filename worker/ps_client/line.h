/* line - the thread of a PsClient that alone touches its sockets: it hands what comes to the core, and sends what the core
 * wants sent. Only this folder includes it.
 *
 * Owner: the PsClient. Threads: the line's, but for what says otherwise. */
#ifndef WORKER_PS_CLIENT_LINE_H
#define WORKER_PS_CLIENT_LINE_H

#include "common/wire/socket.h"
#include "worker/ps_client/client_core.h"

#include <pthread.h>
#include <stdatomic.h>

struct PsClient {
    WireContext *context;
    WireSocket *data, *control; /* the line's */
    int wake; /* eventfd: something is there to be sent */
    char *address; /* owned */
    pthread_t line;
    atomic_int_fast64_t up, down;
    _Atomic int64_t rss_bytes;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t answered; /* the caller waits for nothing (client_core_waits) */
    ClientCore *core; /* owned */
    bool closing;
};

/* The thread, until client->closing. */
void *line_main(void *client);

#endif
