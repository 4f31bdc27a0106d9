/* advance - what moves a run on: its begin, a step, an evaluation. Made now, behind its record in the log, or again
 * from that record: the same either way.
 *
 * Threads: one. */
#ifndef PS_ADVANCE_H
#define PS_ADVANCE_H

#include "ps/run_state.h"

/* A step that has its gradients. seconds: of training, behind it. reduced: how often the learning rates were, before it
 * (plateau.h). */
enum { STEP_SKIPPED = -1 }; /* as weight: its gradient was absurd, and train.on_nan said to go on without it */

typedef struct StepMade {
    int64_t step, tokens, reduced;
    double weight, loss, seconds; /* weight: what gradient and loss are divided by */
    int64_t batch; /* whose examples (core.h) */
    double behind; /* versions: the learning rate is divided by 1 + behind (Zhang et al. 2016) */
} StepMade;

/* What the first worker has, and M micro-batches a step. total: steps of the run; 0: as its configuration says. */
void advance_begin(Run *run, const HelloFacts *facts, int64_t M, int64_t total);
int64_t advance_length(const Run *run); /* steps that the configuration asks for, once the facts are taken */
/* Uses the gradient up. */
void advance_step(Run *run, const StepMade *step, float *gradient);
void advance_evaluation(Run *run, json_t *entry); /* takes entry */

#endif
