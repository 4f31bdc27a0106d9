/* step_embeddings - FEATURE_EXTRACTION: a row's loss is of all rows of its step, whoever computes them. So before a
 * part of a step goes backward, the texts of the whole step are embedded, and the gradient at all of them is made
 * (GradCache, Gao et al. 2021).
 *
 * The ranks of a node embed a share each, into memory that they have together. What other nodes compute is embedded
 * here, too: forwards cost a third of what a step costs, and nothing has to be exchanged, waited for or taken back when
 * somebody dies. A micro-batch is embedded as it is trained, at the same values with the same dropout: every replica
 * has the same bits.
 *
 * Owner: the job's step. Threads: the main thread. Collective: step_embeddings_make, over the node. */
#ifndef WORKER_TRAIN_STEP_EMBEDDINGS_H
#define WORKER_TRAIN_STEP_EMBEDDINGS_H

#include "common/plan/plan.h"
#include "worker/ps_client/ps_client.h"
#include "worker/train/flights.h"
#include "worker/train/node.h"

/* Zeroed: the task has none. */
typedef struct StepEmbeddings {
    Plan *plan; /* borrowed, as the rest above `C` */
    const Dataset *data;
    Flights *flights;
    Node *node;
    const EmbedHead *head;
    int64_t C, M; /* width; micro-batches of a step */
    int64_t most; /* texts of a step */
    int64_t step; /* whose embeddings are there; -1: of none */
    int64_t *begin; /* [M + 1] texts of the micro-batches, one behind the other */
    float *de; /* [most, C] the gradient of the sum of losses */
    float *score; /* [most] */
    double *each; /* [most / columns] losses of the rows */
    float *again; /* [most, C] what a forward that is made twice gives the second time */
    float *room;
} StepEmbeddings;

typedef struct StepEmbeddingsOptions { /* all borrowed while it is open */
    Plan *plan;
    const Dataset *data;
    Flights *flights;
    Node *node; /* has room for `texts` embeddings (step_embeddings_texts) */
    const EmbedHead *head;
    int64_t C, micro_batches, texts;
} StepEmbeddingsOptions;

/* Texts of a step of so many of so many rows. */
int64_t step_embeddings_texts(const EmbedHead *head, int64_t batch_size, int64_t rows);

MUST_USE bool step_embeddings_open(StepEmbeddings *s, const StepEmbeddingsOptions *options, Err *err);
void step_embeddings_release(StepEmbeddings *s);

/* What is there is of other values: a new lease has come. */
void step_embeddings_forget(StepEmbeddings *s);

/* Embeddings and gradient of all texts of the step. range: what the node has to compute of it; mine: what this rank
 * has. The forward of mine's first micro-batch that has rows is kept for its backward: *ready. The model is bound. */
void step_embeddings_make(StepEmbeddings *s, int64_t step, Range range, Range mine, bool *ready);

/* Of a micro-batch of that step: the gradient at its embeddings [texts, C], and its share of the loss. */
const float *step_embeddings_gradient(const StepEmbeddings *s, int64_t m);
BatchLoss step_embeddings_loss(const StepEmbeddings *s, int64_t m);

#endif
