/* run_folder - what a run left beside its adapter: run.yaml with every key, the labels among them.
 *
 * Threads: any. */
#ifndef LAUNCH_RUN_FOLDER_H
#define LAUNCH_RUN_FOLDER_H

#include "common/config/config.h"

/* run.yaml in the folder, or above it (a checkpoint). Owned by the caller; NULL: there is none. */
char *run_folder_file(const char *folder);

/* labels and problem_type of the run that made the adapter, as far as config does not say them. An adapter
 * of others has no run. */
MUST_USE bool run_folder_labels(Config *config, const char *adapter, Err *err);

#endif
