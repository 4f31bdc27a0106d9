/* work - the parts of a job's work on leases (job_work): a rank's part of a step, an evaluation, and what the ranks of
 * a team know of each other. Nobody else includes this.
 *
 * Threads: the main thread. Collective: evaluate, over the replica. */
#ifndef WORKER_TRAIN_WORK_H
#define WORKER_TRAIN_WORK_H

#include "worker/train/job.h"

/* Micro-batches `part` of a step: their sums, as few as the tree allows, go into this rank's box. Together with the other
 * stages of its lane. ready: the first one's forward is made (step_embeddings.h). */
void part_compute(Job *job, int64_t step, Range part, bool ready);

/* Chunks `range` of the validation set at a version; the leader pushes what was measured. */
MUST_USE bool evaluate(Job *job, int64_t step, Range range, Err *err);

/* Memory of all ranks of the team, and what any of them could not do. */
int64_t team_memory(const Job *job);
bool team_failed(const Job *job, Err *err);

/* The rank's own, into its box; looked at seldom, as the kernel walks all its pages. */
void team_measure(Job *job);

/* Pixels of a batch of images, on the stage that looks at them. False: an image cannot be read any more; said in
 * this rank's box. */
bool team_pixels(Job *job, Pictures *pictures, BatchRoom *room, Batch *batch, int64_t epoch);

#endif
