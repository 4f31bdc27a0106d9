/* job_data - what a job trains on and what it evaluates: the sets, which rows of them, and how they are cut.
 *
 * Owner: worker/train/job. Threads: one; const after opening, but for pictures. */
#ifndef WORKER_TRAIN_JOB_DATA_H
#define WORKER_TRAIN_JOB_DATA_H

#include "common/plan/episodes.h"
#include "worker/comm/split.h"
#include "worker/data/pictures.h"

typedef struct TrainSet {
    Dataset data;
    Pictures pictures; /* of images, else empty */
    uint32_t *rows; /* [count] that are trained on, then those that a split holds back; owned */
    int64_t count;
    int64_t *pack_ends; /* [examples] of rows, owned; NULL: every row is an example */
    Episodes *episodes; /* meta.algorithm: what a step is of instead of examples; owned; else NULL */
    int64_t examples; /* or episodes of an epoch */
    int64_t longest; /* tokens of an example */
} TrainSet;

typedef struct EvalSet {
    const Dataset *data; /* own, or the TrainSet's with a split; NULL: nothing is evaluated */
    Dataset own;
    Pictures pictures; /* of images, else empty */
    const uint32_t *rows; /* [count] */
    uint32_t *own_rows; /* rows without a split; owned */
    int64_t count, examples; /* examples: rows of the files, of which each may be several */
    int64_t *chunk_ends; /* [chunks] of rows, owned */
    int64_t chunks;
    int64_t most_rows, most_tokens; /* that are computed at a time */
    int64_t width; /* doubles of a chunk's sums */
} EvalSet;

/* Zeroed is empty. Not to be moved once it is open: an EvalSet may point into the TrainSet. */
typedef struct JobData {
    TrainSet train;
    EvalSet eval;
} JobData;

typedef struct JobDataOptions { /* all borrowed for the call */
    const Config *config;
    const ModelArch *arch;
    const Tokenizer *tokenizer; /* NULL: images */
    const Groups *groups;
} JobDataOptions;

/* Collective: yes, over the job; fails on all ranks when it fails on one. */
MUST_USE bool job_data_open(JobData *data, const JobDataOptions *options, Err *err);
void job_data_release(JobData *data);

/* Of a chunk's rows [begin, end) those from `begin` on that are computed at a time: all; but of questions, whose windows
 * are in one chunk however many they are, most_tokens. Returns their end. */
int64_t job_data_piece(const EvalSet *eval, int64_t begin, int64_t end);

int64_t job_data_longest(const JobData *data); /* tokens of any row */

uint64_t job_data_train_digest(const JobData *data);
uint64_t job_data_eval_digest(const JobData *data); /* and of how it is cut; 0: nothing is evaluated */

#endif
