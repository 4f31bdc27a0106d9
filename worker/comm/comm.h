/* comm - the ranks of a job over MPI, as groups.
 *
 * The only place that includes mpi.h (and the only that narrows a size to MPI's int). Inside a step the
 * ranks of a node meet in shared memory (train/node.h), where waiting costs nothing; what the stages of a
 * replica have for each other a thread carries (courier.h).
 *
 * Owner: worker/main.c. Threads: the main thread, besides the courier's (MPI_THREAD_SERIALIZED). */
#ifndef WORKER_COMM_COMM_H
#define WORKER_COMM_COMM_H

#include "worker/comm/split.h"

typedef struct Comm Comm;

/* Collective: yes, over the job. NULL: no MPI. */
MUST_USE Comm *comm_open(int *argc, char ***argv, Err *err);
void comm_close(Comm *comm); /* collective; the groups and their memory end here */

/* The model in `pipeline` stages of `tensor` shards (grid.h). Collective: job; fails on all alike. */
MUST_USE bool comm_groups(Groups *groups, Comm *comm, int pipeline, int tensor, Err *err);

#endif
