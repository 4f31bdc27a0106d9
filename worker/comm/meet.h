/* meet - the ranks of a job meet, share memory, and say where they may run: `lora_worker --meet`, by which
 * `lora doctor` sees whether a job of workers would come up.
 *
 * Threads: the main thread. Collective: yes, over all ranks of the job. */
#ifndef WORKER_COMM_MEET_H
#define WORKER_COMM_MEET_H

#include "worker/comm/comm.h"

/* Rank 0 prints "meet ranks=2 nodes=1 cores=2 each=1": cores that its node's ranks may use together, and that one
 * of them may use at the most. Collective: yes, over the job. */
MUST_USE bool meet(Comm *comm, Err *err);

#endif
