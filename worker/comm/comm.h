/* comm - the ranks of a job over MPI, as groups.
 *
 * The only place that includes mpi.h (and the only that narrows a size to MPI's int). MPI is used
 * before and after training; inside a step the ranks of a node meet in shared memory (train/node.h),
 * where waiting costs nothing.
 *
 * Owner: worker/main.c. Threads: the main thread (MPI_THREAD_FUNNELED). */
#ifndef WORKER_COMM_COMM_H
#define WORKER_COMM_COMM_H

#include "worker/comm/group.h"

typedef struct Comm Comm;

/* Who is with this rank. Of the last four, ranks stand in the order of the job's. */
typedef struct Groups {
    Group job; /* all of one mpirun */
    Group node; /* on this machine */
    int nodes; /* of the job */
    Group data; /* that hold the same part of the model, for other micro-batches */
    Group pipeline; /* of one lane, stage behind stage */
    Group tensor; /* the shards of one stage */
    Group team; /* of the node, that hold the same part of the model: they share its memory */
} Groups;

/* Collective: yes, over the job. NULL: no MPI. */
MUST_USE Comm *comm_open(int *argc, char ***argv, Err *err);
void comm_close(Comm *comm); /* collective; the groups and their memory end here */

/* The model in `pipeline` stages of `tensor` shards (grid.h). Collective: job; fails on all alike. */
MUST_USE bool comm_groups(Groups *groups, Comm *comm, int pipeline, int tensor, Err *err);

#endif
