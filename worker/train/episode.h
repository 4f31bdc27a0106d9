/* episode - meta.algorithm: inner steps on one task, from the adapter as it is, on a copy of it that this rank has; and what they
 * say to the outer step, in the place of a gradient:
 *
 *   reptile   values - copy, behind the inner steps            (Nichol et al. 2018, On First-Order Meta-Learning Algorithms)
 *   fomaml    the gradient of one more batch at the copy       (Finn et al. 2017, MAML, without second derivatives)
 *
 * Inner steps learn from the mean over their batch. The server makes a mean over the episodes of both, by their tasks' weights, and
 * learns from that as from any gradient. Random numbers of batch b of an episode of step t are those of step t * batches + b.
 *
 * Owner: the job's step. Threads: the main thread. Collective: no, an episode is one rank's. */
#ifndef WORKER_TRAIN_EPISODE_H
#define WORKER_TRAIN_EPISODE_H

#include "common/plan/episodes.h"
#include "worker/train/flights.h"
#include "worker/train/node.h"

typedef struct EpisodeOptions { /* all borrowed while it is open */
    const MetaConfig *meta;
    const TrainConfig *train;
    const DataTasks *tasks;
    Episodes *episodes;
    const Dataset *data;
    Model *model;
    Flights *flights; /* of the whole model */
    int64_t slots; /* floats of values and gradients */
} EpisodeOptions;

/* Zeroed is empty. */
typedef struct EpisodeRoom {
    EpisodeOptions o;
    float *copy, *gradient; /* [slots] */
    float *m, *v; /* [slots] of AdamW; NULL: plain descent */
} EpisodeRoom;

/* Copies of the adapter that a rank holds for it. */
int64_t episode_copies(const MetaConfig *meta);

MUST_USE bool episode_open(EpisodeRoom *room, const EpisodeOptions *options, Err *err);
void episode_release(EpisodeRoom *room);

/* Episode m of the step, from values[slots]: out[slots] (written) and *sum are a micro-batch's; the loss is that of FOMAML's last
 * batch, or of Reptile's last inner step. False: the step has no such episode, and nothing is written. */
bool episode_train(EpisodeRoom *room, const float *values, int64_t step, int64_t m, float *out, NodeSum *sum);

#endif
