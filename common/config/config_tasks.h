/* config_tasks - `tasks:` of a run file: several data sets that one adapter learns, each with classes of its own.
 *
 * What they come to in other keys is set from here when the file is loaded: data.train and data.validation are the files of all
 * tasks one behind the other, labels are the classes of all, as TASK/LABEL.
 *
 * Owner: the Config. Threads: one while it is loaded, then any. */
#ifndef COMMON_CONFIG_CONFIG_TASKS_H
#define COMMON_CONFIG_CONFIG_TASKS_H

#include "common/config/config.h"

/* Reads config->tasks_given; paths are relative to `folder` (NULL: the working directory) and absolute in it from then on. False:
 * what is wrong with it, or with the keys that it sets. Without tasks: nothing. */
MUST_USE bool config_tasks_settle(Config *config, const char *folder, Err *err);

/* What does not go with tasks. */
MUST_USE bool config_tasks_check(const Config *config, Err *err);

/* "accuracy" of "TASK_accuracy", where there is such a task; else the metric as it is. Lent. */
const char *config_tasks_metric(const Config *config, const char *metric);
void config_tasks_release(DataTasks *tasks);

#endif
