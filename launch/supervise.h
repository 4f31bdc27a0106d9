/* supervise - the two children of `lora train`: lora_ps and one mpirun of workers. One that dies is started
 * again, and the run goes on to the same bits; one that dies again and again before a step is made ends
 * the run, with what it said.
 *
 * Owner: cmd_train.c. Threads: the main thread. */
#ifndef LAUNCH_SUPERVISE_H
#define LAUNCH_SUPERVISE_H

#include "common/base/serve.h"

#include <stdint.h>

/* From here on signals are for supervise. */
void supervise_signals(void);

/* Until the server ends: its exit code. words[0, count): its command line, as for serve_start, for another
 * start. */
MUST_USE int supervise(ServerProcess *server, const char *const *words, int count, int64_t ranks, Err *err);

/* Whether a server that ended with this code was killed, or fell: then the log has all its steps. */
bool supervise_server_died(int code);

#endif
