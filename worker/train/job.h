/* job - all that a worker rank has open while it works: run, model, data, its node.
 *
 * Owner: worker/main.c. Threads: the main thread. */
#ifndef WORKER_TRAIN_JOB_H
#define WORKER_TRAIN_JOB_H

#include "common/config/config.h"
#include "common/metrics/metrics.h"
#include "common/plan/plan.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/data/pictures.h"
#include "worker/eval/engine.h"
#include "worker/eval/references.h"
#include "worker/model/model.h"
#include "worker/train/node.h"

typedef struct Job {
    Config config;
    Arithmetic arithmetic;
    Comm *comm; /* borrowed */
    PsClient *client; /* leader only, else NULL */
    char *address;
    uint64_t run; /* id of the run whose file the server gave us; 0: the file is our own */
    ModelArch *arch;
    SlotTable *table;
    SafeTensors *files; /* until the weights are loaded: a mapping of them all */
    uint64_t base_digest; /* the leader's: weights and config.json */
    Weights weights;
    Tokenizer *tokenizer;
    Dataset train, validation;
    Pictures train_pictures, eval_pictures; /* of images, else zeroed; the latter of eval_data */
    uint32_t *rows; /* rows that are trained on, then those held back; NULL: all, in order */
    int64_t train_count, eval_count;
    int64_t *pack_ends; /* [example_count] of rows, owned; NULL: every row is an example */
    int64_t example_count; /* that are trained on */
    int64_t longest_example; /* tokens */
    const Dataset *eval_data; /* &validation, or &train with a split; NULL: none */
    const uint32_t *eval_rows; /* [eval_count] */
    uint32_t *held_rows; /* eval_rows without a split; owned */
    int64_t *chunk_ends; /* [chunks], owned */
    int64_t chunks;
    int64_t eval_width; /* doubles of a chunk's sums */
    int64_t longest;
    Plan *plan;
    Model *model;
    BatchRoom room;
    Node node;
    Range part; /* micro-batches of the range at hand that are this rank's */
    Metrics metrics;
    TextEngine engine; /* data.generate: writes completions; else zeroed */
    GenerateOptions generate;
    References references; /* of eval_rows */
    float *scratch; /* [log2 M + 1, slot_size]: right-hand sums while a subtree is added up */
    float *logits; /* of one evaluation chunk */
    double measured; /* when this rank's memory was looked at */
} Job;

/* Everything up to the first lease: model, data, HELLO, memory. run_file NULL: the run comes from
 * the server at `address`. Collective: yes, over the job; fails on all ranks when it fails on one
 * (the others get an Err without `what`). */
MUST_USE bool job_open(Job *job, Comm *comm, const ConfigSources *sources, const char *address, Err *err);
void job_close(Job *job);

/* Works on leases until the server says stop: *code is then the run's exit code. */
MUST_USE bool job_work(Job *job, int *code, Err *err);

#endif
