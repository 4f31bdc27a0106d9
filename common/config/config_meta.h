/* config_meta - `meta:` of a run file: learning over several tasks how to learn one.
 *
 * A step is of meta.episodes episodes, which are its micro-batches; an episode is batches of train.batch_size rows of one task:
 * one an inner step and, of FOMAML, one more.
 *
 * Threads: one while the Config is loaded, then any. */
#ifndef COMMON_CONFIG_CONFIG_META_H
#define COMMON_CONFIG_CONFIG_META_H

#include "common/config/config.h"

/* parallel.micro_batches: auto becomes the episodes of a step. Without meta.algorithm: nothing. */
void config_meta_settle(Config *config);

/* What does not go with meta.algorithm, or without it; with data.shots; with a start from another task's adapter. */
MUST_USE bool config_meta_check(const Config *config, Err *err);

/* Batches of an episode; without meta.algorithm 1. */
int64_t config_episode_batches(const Config *config);

/* What a step is of: examples, or episodes. */
int64_t config_step_size(const Config *config);

#endif
