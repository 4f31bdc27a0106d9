/* run_folder - what a run left beside its adapter: run.yaml with every key, the labels among them.
 *
 * Threads: any. */
#ifndef COMMON_CONFIG_RUN_FOLDER_H
#define COMMON_CONFIG_RUN_FOLDER_H

#include "common/config/config.h"

/* A model that was trained whole: config.json and its weights, and no adapter. */
bool run_folder_is_model(const char *folder);

/* Is there an adapter? False with *err: no such folder, a run that has not ended (and its newest checkpoint), or
 * something else. */
MUST_USE bool run_folder_check(const char *adapter, Err *err);

/* Where the server of a run that goes on listens: "tcp://HOST:PORT HOSTNAME", beside its log. */
#define RUN_FOLDER_ADDRESS "wal/address"

/* run.yaml in the folder, or above it (of a checkpoint-N). Owned by the caller; NULL: there is none. */
char *run_folder_file(const char *folder);

/* labels and problem_type of the run that made the adapter, as far as config does not say them; where there is no
 * run.yaml (a checkpoint that was copied away), the names in its labels.json. Refused where config has a name of theirs
 * at another place. An adapter of others has neither. */
MUST_USE bool run_folder_labels(Config *config, const char *adapter, Err *err);

#endif
