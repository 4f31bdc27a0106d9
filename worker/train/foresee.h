/* foresee - what a replica expects of its steps: time, memory, bytes to the server and back. By the code of `lora plan`
 * (layout.h), with the micro-batches that the data make, and this machine's products at the model's width; said in the
 * log before memory is taken, and in summary.json beside what it came to be.
 *
 * Threads: one, while nobody computes; takes some 10 ms. Collective: no. */
#ifndef WORKER_TRAIN_FORESEE_H
#define WORKER_TRAIN_FORESEE_H

#include "common/wire/message.h"
#include "worker/train/job_step.h"

/* Of a replica whose stages have so many ranks (lanes) each. */
MUST_USE bool foresee(Foreseen *foreseen, const JobStep *step, const JobStepOptions *options, int lanes, Err *err);

#endif
