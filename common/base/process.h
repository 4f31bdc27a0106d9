/* process - starting programs of our own and waiting for them.
 *
 * Threads: the main thread, before MPI_Init and before other threads start. */
#ifndef COMMON_BASE_PROCESS_H
#define COMMON_BASE_PROCESS_H

#include "common/base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* Starts argv[0] (looked up in PATH when it has no slash) in a process group of its own; it gets
 * SIGTERM when this process ends, however that happens. -1 with *err set when it cannot start. */
pid_t process_start(char *const *argv, Err *err);

/* The same; *heard is the reading end of its stderr, the caller's to close. */
pid_t process_start_heard(char *const *argv, int *heard, Err *err);

/* As process_start; what it says on stdout and stderr goes behind what is in the file `log`. */
pid_t process_start_logged(char *const *argv, const char *log, Err *err);

/* Exit code (128 + signal for a signal) when it has ended, -1 while it runs. */
int process_ended(pid_t pid);

/* As process_ended, but waits up to `seconds`. */
int process_wait(pid_t pid, double seconds);

/* Memory of this process, pages that it shares with others counted by its share of them (Pss of
 * /proc/self/smaps_rollup), in bytes; where the kernel does not tell, the most it ever had. Any thread. */
int64_t process_memory(void);

/* NAME in the folder of the running program. Owned by the caller. */
char *process_sibling(const char *name);

#endif
