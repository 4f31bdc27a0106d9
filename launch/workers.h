/* workers - the job of workers that `lora train` has as a child: one mpirun on this machine.
 *
 * Owner: cmd_train.c. Threads: one. */
#ifndef LAUNCH_WORKERS_H
#define LAUNCH_WORKERS_H

#include "common/base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* So many starts of a child that dies before the run gets a step further, and no more. */
enum { STARTS_IN_VAIN = 3 };

/* What Open MPI and OpenMP need to run well on one machine of so many cores, into this process's
 * environment; what the user has set stays. */
void workers_environment(int64_t ranks, int64_t cores);

/* mpirun's pid; -1 with *err. *heard: what it says on stderr, the caller's to close. */
MUST_USE pid_t workers_start(int64_t ranks, const char *address, int *heard, Err *err);

/* Whether a job that ended with this code may do better when it is started again. One that says "bad
 * input", "refused" or "not finite" would say it again. */
bool workers_again(int code);

/* More ranks than cores take turns: said before they are started. */
void workers_warn(int64_t ranks, int64_t cores);

#endif
