/* run_model - what the server holds of the model: its description, the slot table, the first values.
 *
 * Threads: one. */
#ifndef PS_RUN_MODEL_H
#define PS_RUN_MODEL_H

#include "ps/run_state.h"

/* The model of the configuration, and, once its labels are known, the first values. */
MUST_USE bool run_model_open(Run *run, Err *err);

/* Again for a run that has begun, whose run.yaml says the labels. */
MUST_USE bool run_model_reopen(Run *run, Err *err);

/* The model anew with the labels and problem_type of another configuration; as it was when that cannot be. */
MUST_USE bool run_model_renew(Run *run, const Config *labels, Err *err);

#endif
