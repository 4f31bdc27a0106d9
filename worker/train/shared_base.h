/* shared_base - the base of jobs that run beside each other on one machine, in one place: whoever is first loads it, and all
 * read it.
 *
 * The place is a file (memory, as `lora sweep` has it) that LORA_SHARED_BASE names. What lies in it is named by the base's
 * digest and by its layout; a job of another base, or whose base is changed behind the load (PiSSA) or held in stages, has memory of its own. A
 * job that is killed while it loads leaves the place to the next.
 *
 * Owner: the job. Threads: the main thread. Collective: over the team. */
#ifndef WORKER_TRAIN_SHARED_BASE_H
#define WORKER_TRAIN_SHARED_BASE_H

#include "worker/comm/group.h"
#include "worker/open/opened.h"

/* Zeroed is empty. */
typedef struct SharedBase {
    void *map; /* owned; NULL: this job has memory of its own */
    size_t size;
} SharedBase;

/* Sets base->weights.data, and loads it where nobody did. False with *err: it is there, and cannot be loaded. True without
 * a map: there is no place, or not for this base. The base's files are open; `own`: it has to have
 * memory of its own. */
MUST_USE bool shared_base_open(SharedBase *shared, Opened *base, bool own, const Group *team, Err *err);
void shared_base_close(SharedBase *shared);

#endif
