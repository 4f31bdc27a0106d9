/* find_labels - the labels of a run whose file and model do not name any, from its training data.
 *
 * Who starts a run asks for them to check it; what the run goes by is what its server was told first, and then
 * says in the run file (ps_client_ask).
 *
 * Threads: one. Collective: no. */
#ifndef WORKER_TRAIN_FIND_LABELS_H
#define WORKER_TRAIN_FIND_LABELS_H

#include "common/config/config.h"

/* Where labels are wanted, sets labels (names, or their count), and problem_type where rows have several; *found
 * tells whether it did. False with *err: what label_search refuses, or more labels than a run file holds. */
MUST_USE bool find_labels(Config *config, bool *found, Err *err);

#endif
