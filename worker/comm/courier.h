/* courier - a thread that carries messages between ranks while they compute.
 *
 * Whoever computes leaves parcels with it and waits on a condition when it needs them. The thread looks after those that
 * are on their way: often at first, then every millisecond, and it sleeps when there are none. MPI moves large messages
 * only while somebody calls it, so without the thread a message would wait for the end of a stage's computation.
 *
 * Between a courier's first parcel and the wait for its last the thread is the only one that calls MPI.
 *
 * Owner: comm.c. Threads: one that posts and waits, and its own. */
#ifndef WORKER_COMM_COURIER_H
#define WORKER_COMM_COURIER_H

#include "worker/comm/group.h"

#include <mpi.h>

typedef struct Courier Courier;

/* NULL with *err: no thread. */
MUST_USE Courier *courier_open(Err *err);
void courier_close(Courier *courier); /* every ticket has been waited for */

/* The parcel's ticket. */
int courier_post(Courier *courier, MPI_Comm circle, const Parcel *parcel);
void courier_wait(Courier *courier, int ticket);

#endif
