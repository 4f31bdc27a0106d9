/* workers - the job of workers that `lora train` has as a child: one mpirun on this machine.
 *
 * Owner: cmd_train.c. Threads: one. */
#ifndef LAUNCH_WORKERS_H
#define LAUNCH_WORKERS_H

#include "common/base/err.h"

#include <stdint.h>
#include <sys/types.h>

enum { WORKERS_RESTARTS = 20 }; /* at the most */

/* What Open MPI and OpenMP need to run well on one machine of so many cores, into this process's
 * environment; what the user has set stays. */
void workers_environment(int64_t ranks, int64_t cores);

/* mpirun's pid; -1 with *err. */
MUST_USE pid_t workers_start(int64_t ranks, const char *address, Err *err);

/* Whether a job that ended with this code may do better, after so many restarts. One that says "bad
 * input", "refused" or "not finite" would say it again. */
bool workers_again(int code, int restarts);

#endif
