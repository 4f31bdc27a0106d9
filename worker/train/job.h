/* job - all that a worker rank has open while it works: the run, the model, the data, what it computes a step with, and
 * its place in the node.
 *
 * Owner: worker/main.c. Threads: the main thread. */
#ifndef WORKER_TRAIN_JOB_H
#define WORKER_TRAIN_JOB_H

#include "worker/train/job_run.h"
#include "worker/train/job_step.h"
#include "worker/train/node.h"
#include "worker/train/replica.h"
#include "worker/train/shared_base.h"

typedef struct Job {
    JobRun run;
    Opened base;
    SharedBase shared; /* where its weights lie, if other jobs have them, too */
    uint64_t base_digest; /* weights and config.json */
    JobData data;
    JobStep step;
    Node node;
    Replica replica; /* the stages that make one client, of the first ranks of their teams */
    uint64_t offer_seen; /* first rank: sums_key of the last memory that the server offered (ps_client_offer) */
    double measured; /* when this rank's memory was looked at */
    int told_absurd; /* how often this rank said that a gradient was (absurd_tell.h) */
} Job;

/* Everything up to the first lease: model, data, HELLO, memory. run_file NULL: the run comes from
 * the server at `address`. Collective: yes, over the job; fails on all ranks when it fails on one
 * (the others get an Err without `what`). */
MUST_USE bool job_open(Job *job, const Groups *groups, const ConfigSources *sources, const char *address,
                       const char *keys, Err *err);
void job_close(Job *job);

/* Works on leases until the server says stop: *code is then the run's exit code. */
MUST_USE bool job_work(Job *job, int *code, Err *err);

#endif
