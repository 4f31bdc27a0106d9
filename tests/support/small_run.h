/* small_run - a run of the parameter server without its sockets, for tests: the golden case
 * bert-seqcls with made-up gradients, batches of 16 of 40 examples, 3 an epoch. */
#ifndef TESTS_SUPPORT_SMALL_RUN_H
#define TESTS_SUPPORT_SMALL_RUN_H

#include "common/wire/message.h"
#include "ps/run.h"

#define SMALL_LONGER "train.num_train_epochs=4" /* instead of 2: checkpoints 3, 6, 9, 12 */

enum { SMALL_EXAMPLES = 40, SMALL_STEPS = 6 };

extern bool small_run_gets_worse; /* later evaluations have more loss, not less */
extern const double *small_run_losses; /* of evaluations in turn, one behind 3 steps each; NULL: by the line above */

extern const char *small_run_file; /* of the case */
extern const char *const *small_run_more; /* overrides of all runs, NULL behind the last; NULL: none */

/* extra: one more override, or NULL. */
Run *small_run_open(const char *folder, bool overwrite, const char *extra, Err *err);
HelloFacts small_run_facts(const Run *run);

/* One evaluation or step; false at the end. */
bool small_run_go_on(Run *run);

/* To the end, and closes it; the SHA-256 of its adapter, the caller's. */
char *small_run_finish(Run *run, const char *folder);

/* A run of SMALL_LONGER, killed at step 8, with checkpoints 3 and 6. */
void small_run_to_eight(const char *folder);

#endif
