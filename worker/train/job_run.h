/* job_run - which run a job works for: its run file, from the server or our own, and HELLO, behind which every key
 * of it is fixed.
 *
 * Owner: worker/train/job. Threads: the main thread. Collective: yes, over the job; what fails on one rank fails on
 * all. */
#ifndef WORKER_TRAIN_JOB_RUN_H
#define WORKER_TRAIN_JOB_RUN_H

#include "common/config/config.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/comm/split.h"
#include "worker/ps_client/ps_client.h"

typedef struct JobRun {
    Groups groups;
    char *address; /* of the server */
    char *keys; /* to it, as PsClientOptions has them; NULL: none */
    Config config;
    Arithmetic arithmetic;
    uint64_t id; /* of the run whose file the server gave us; 0: the file is our own */
    PsClient *client; /* leader only, behind HELLO; else NULL */
} JobRun;

/* groups and address are set: asks for config, and id where the server gives it. */
MUST_USE bool job_run_ask(JobRun *run, const ConfigSources *sources, Err *err);

/* Leaders say what the job has (but for its number and arithmetic, which are filled in); the run file that comes back
 * replaces ours. The arithmetic has been started; it becomes the run's. */
MUST_USE bool job_run_hello(JobRun *run, HelloFacts *mine, Err *err);
void job_run_release(JobRun *run);

#endif
