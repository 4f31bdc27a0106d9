/* job_step - what a rank computes a step with: the plan, the model, room for the largest batch, the evaluation's sums.
 *
 * Owner: worker/train/job. Threads: one. */
#ifndef WORKER_TRAIN_JOB_STEP_H
#define WORKER_TRAIN_JOB_STEP_H

#include "common/metrics/metrics.h"
#include "common/plan/plan.h"
#include "worker/eval/engine.h"
#include "worker/eval/measure_answers.h"
#include "worker/eval/references.h"
#include "worker/model/model.h"
#include "worker/open/opened.h"
#include "worker/train/episode.h"
#include "worker/train/flights.h"
#include "worker/train/job_data.h"
#include "worker/train/step_embeddings.h"

/* Zeroed is empty. */
typedef struct JobStep {
    Plan *plan; /* NULL: a step is of episodes */
    EpisodeRoom episode; /* of them; else zeroed */
    int64_t trained_tokens, trained_rows; /* most of a micro-batch */
    ModelOptions options; /* of its whole model */
    Model *model; /* of the stage */
    Flights flights; /* micro-batches that it works on; chunks of evaluations are in the first */
    Metrics metrics;
    MeasureAnswers answers; /* of questions, else empty */
    TextEngine engine; /* data.generate: writes completions; else zeroed */
    GenerateOptions generate;
    References references; /* of what is evaluated */
    float *logits; /* of one evaluation chunk */
    StepEmbeddings embeddings; /* of a task that embeds; else zeroed */
    double *class_weights; /* [labels]; NULL: all alike */
} JobStep;

typedef struct JobStepOptions { /* all borrowed while the step is open */
    const Config *config; /* with every key fixed */
    const Opened *base;
    JobData *data; /* its pictures begin to load ahead */
    int threads;
    const Group *lane; /* the stages of the model */
    int lanes; /* of all ranks: micro-batches of a step are theirs to share */
} JobStepOptions;

/* Which examples a step has, and how large it gets: no memory of the model yet. */
MUST_USE bool job_step_plan(JobStep *step, const JobStepOptions *options, Err *err);

/* Behind job_step_plan. */
MUST_USE bool job_step_open(JobStep *step, const JobStepOptions *options, Err *err);

/* data.generate: evaluations write behind the prompts, with values[slot_size] as they are then. */
MUST_USE bool job_step_open_texts(JobStep *step, const JobStepOptions *options, const float *values, Err *err);

/* Of a task that embeds: what its losses are of, with the node's memory. */
MUST_USE bool job_step_open_embeddings(JobStep *step, const JobStepOptions *options, Node *node, Err *err);
void job_step_release(JobStep *step);

#endif
