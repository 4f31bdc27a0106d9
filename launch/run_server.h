/* run_server - the server that a command means: an address, or the folder of a run.
 *
 * Owner: the caller, of what was found. Threads: any. */
#ifndef LAUNCH_RUN_SERVER_H
#define LAUNCH_RUN_SERVER_H

#include "common/base/err.h"

typedef struct RunServer {
    char *address; /* NULL: a folder on which no server works */
    char *folder; /* of the run; NULL: an address was given */
    char *keys; /* for ask_status; NULL: LORA_KEYS, or none */
} RunServer;

/* what: "tcp://HOST:PORT", or a folder that lora train wrote into. keys: as they were given, NULL: not; then the run's
 * own (ps.keys of its run.yaml) are taken, unless LORA_KEYS is set. False: it is neither, or its server listens on the
 * loopback of another machine. */
MUST_USE bool run_server_find(RunServer *server, const char *what, const char *keys, Err *err);
void run_server_release(RunServer *server); /* zeroed is fine */

#endif
