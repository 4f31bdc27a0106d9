/* serve - starts lora_ps for a run and finds out where it listens.
 *
 * Used by `lora train`, and by rank 0 of workers that were given a run file but no address.
 *
 * Owner: the caller, of the process and its address. Threads: the main thread. */
#ifndef COMMON_BASE_SERVE_H
#define COMMON_BASE_SERVE_H

#include "common/base/err.h"

#include <sys/types.h>

typedef struct ServerProcess {
    pid_t pid;
    char *address; /* tcp://127.0.0.1:PORT, owned */
    int code; /* exit code when it ended before it listened */
} ServerProcess;

/* words[0, count): what follows the program's name: the run file, --key=value, --overwrite.
 * False: it did not come up; server->code is its exit code when it printed an error of its own
 * (*err is then empty). */
MUST_USE bool serve_start(ServerProcess *server, const char *const *words, int count, Err *err);

#endif
