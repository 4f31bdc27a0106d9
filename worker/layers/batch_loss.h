/* batch_loss - what a micro-batch's loss is, as heads give it: sums over what counts, and the settings that they follow.
 *
 * Values. Threads: any. */
#ifndef WORKER_LAYERS_BATCH_LOSS_H
#define WORKER_LAYERS_BATCH_LOSS_H

#include "common/config/config.h"

#include <stdint.h>

typedef struct LossOptions {
    double smoothing; /* of goals that are classes or tokens: train.label_smoothing_factor */
    const double *weights; /* [labels] of the classes: train.class_weights; lent; NULL: all alike */
    const TaskLabels *tasks; /* several: the loss of a goal is among the outputs of its task; lent; NULL: among all */
} LossOptions;

typedef struct BatchLoss {
    double sum; /* of the losses of what was counted */
    double plain; /* CAUSAL_LM: the same without smoothing, which perplexity is of */
    int64_t count; /* examples, or labelled tokens */
    double weight; /* of what was counted: what the sums are divided by; count, where classes have none */
} BatchLoss;

#endif
