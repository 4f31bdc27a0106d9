/* class_balance - the weights of the classes in a run's loss: those of the run file, or counted in what is trained on.
 *
 * Threads: one. */
#ifndef WORKER_TRAIN_CLASS_BALANCE_H
#define WORKER_TRAIN_CLASS_BALANCE_H

#include "worker/train/job_data.h"

/* *weights[labels] of train.class_weights, owned by the caller; NULL: it is not given. `balanced` counts rows[0, count) of the
 * data: their classes, or those of their tokens. */
MUST_USE bool class_balance(double **weights, const Config *config, const ModelArch *arch, const Dataset *data,
                            const uint32_t *rows, int64_t count, Err *err);

/* The same where what is trained on is not open: `balanced` reads data.train for it. */
MUST_USE bool class_balance_alone(double **weights, const Config *config, const ModelArch *arch,
                                  const Tokenizer *tokenizer, Err *err);

#endif
