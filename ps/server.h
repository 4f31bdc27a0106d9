/* server - the parameter server's loop: sockets and signals around ps/core and ps/run.
 *
 * Two ROUTERs: data at the address's port, control at that port + 1 (common/wire/socket.h).
 * Answers go to a client's newest routing ids, so a client that reconnected is found again; what a
 * stranger or a broken program sends is counted, told once a second, and dropped.
 *
 * SIGTERM or SIGINT: checkpoint, tell the workers (LEASE_STOP with 143 or 130), leave. A second
 * SIGINT leaves at once; what was durable stays.
 *
 * Owner: ps/main, launch. Threads: the one that calls; it owns the process's handlers of SIGTERM
 * and SIGINT while it runs, so one server a process. */
#ifndef PS_SERVER_H
#define PS_SERVER_H

#include "ps/run.h"

typedef struct ServerOptions {
    const char *address; /* tcp://HOST:PORT; NULL: loopback, any free pair of ports */
    const char *keys; /* folder (common/wire/keys.h): only its clients may talk; NULL: everybody may */
    bool insecure; /* may listen where others can reach it, without keys */
    double lease_timeout; /* seconds */
    const char *http; /* HOST:PORT of the status page; NULL: none */
    const char *trace; /* file for ps/trace; NULL: none */
    const char *ready_file; /* the bound address is written here once it listens; NULL: nowhere */
} ServerOptions;

/* Serves the run until it is complete and its files are written. Returns the exit code of the
 * run's verdict (0; 5: training failed; 130, 143: interrupted), or with *err set that of the
 * error. */
MUST_USE int server_run(Run *run, const ServerOptions *options, Err *err);

#endif
