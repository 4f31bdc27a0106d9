/* comm - the ranks of a job: who is where, and memory that the ranks of a node share.
 *
 * The only place that includes mpi.h (and the only that narrows a size to MPI's int). MPI is used
 * before and after training; inside a step the ranks of a node meet in shared memory (NodeGate),
 * where waiting costs nothing.
 *
 * Owner: worker/main.c. Threads: the main thread (MPI_THREAD_FUNNELED). */
#ifndef WORKER_COMM_COMM_H
#define WORKER_COMM_COMM_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Comm Comm;

/* Collective: yes, over the job. NULL: no MPI. */
MUST_USE Comm *comm_open(int *argc, char ***argv, Err *err);
void comm_close(Comm *comm); /* collective */

int comm_rank(const Comm *comm); /* in the job */
int comm_size(const Comm *comm);
int comm_node_rank(const Comm *comm); /* on this node */
int comm_node_size(const Comm *comm);
int comm_nodes(const Comm *comm); /* nodes of the job */

/* Zeroed memory that the ranks of a node share; page-aligned. Checks the room in /dev/shm first.
 * Lives until comm_close. Collective: yes, over the node. */
MUST_USE void *comm_node_memory(Comm *comm, size_t size, Err *err);

void comm_node_barrier(Comm *comm); /* collective over the node */

/* True on every rank when `ok` was true on every rank of the job. Collective: yes, over the job. */
bool comm_agree(Comm *comm, bool ok);

/* The largest of all ranks' numbers. Collective: job. */
int comm_most(Comm *comm, int number);

/* Rank 0's text on every rank (owned by the caller; NULL where rank 0 has NULL). Collective: job. */
char *comm_share_text(Comm *comm, const char *text);

/* Rank 0's number on every rank. Collective: job. */
uint64_t comm_share_number(Comm *comm, uint64_t number);

/* Ends the whole job with this exit code. */
_Noreturn void comm_abort(int code);

#endif
