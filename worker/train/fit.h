/* fit - does a run have room on this machine, and how large may its micro-batches be? By the code of `lora plan` (layout.h)
 * for all ranks of the machine, with rows as long as the settings let them be; only where that is too much are the data
 * read for their longest row (and kept encoded, as the workers want them).
 *
 * Room is parallel.memory, or what is free here and its control group allows.
 *
 * Threads: one. Collective: no. */
#ifndef WORKER_TRAIN_FIT_H
#define WORKER_TRAIN_FIT_H

#include "common/config/config.h"

typedef struct FitOptions {
    int64_t ranks; /* on this machine */
    bool server; /* here, too */
} FitOptions;

/* parallel.micro_batch_tokens: auto becomes the most that there is room for, the fewest where there is none; *chosen tells
 * whether it was. */
MUST_USE bool fit_choose(Config *config, const FitOptions *options, bool *chosen, Err *err);

/* False with *err: it takes more than there is; which says how much, and what would fit. */
MUST_USE bool fit_check(const Config *config, const FitOptions *options, Err *err);

/* Bytes that a run may take on this machine; `taken` of them it has already. */
int64_t fit_room(const Config *config, int64_t taken);

#endif
