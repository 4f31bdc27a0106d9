/* saved_config - the config.json of a model folder that is written: the base's, and what the task's model says besides,
 * in words that Transformers 4 and 5 both read.
 *
 * Threads: any. */
#ifndef COMMON_MODEL_SAVED_CONFIG_H
#define COMMON_MODEL_SAVED_CONFIG_H

#include "common/model/saved.h"

/* json_decref it. NULL with *err set: the base's config.json is gone. */
MUST_USE json_t *saved_config(const SavedModel *saved, Err *err);

#endif
