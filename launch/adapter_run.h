/* adapter_run - what an adapter's folder says of the run that made it: for commands that are given the folder alone.
 *
 * Owner: the caller. Threads: one. */
#ifndef LAUNCH_ADAPTER_RUN_H
#define LAUNCH_ADAPTER_RUN_H

#include "common/config/config.h"
#include "common/config/options.h"

/* The adapter's run, or of an adapter of PEFT its task alone (the model is then "none"), with the keys of the command
 * line over it, and its labels. */
MUST_USE bool adapter_run_load(Config *config, const char *adapter, const Arguments *given, Err *err);

/* Is there an adapter in the folder, or a model that was trained whole? */
MUST_USE bool adapter_run_check(const char *adapter, Err *err);

/* task_type of an adapter folder (of a model: that of its class); where it is null, as PEFT has no word for images, the task of the
 * class in auto_mapping. */
MUST_USE bool adapter_run_task(TaskType *task, const char *adapter, Err *err);

/* base_model_name_or_path of an adapter; owned, NULL with *err set. */
MUST_USE char *adapter_run_base(const char *adapter, Err *err);

/* Outputs of the trained head; 0: the adapter has none, or *err is set. */
int64_t adapter_run_outputs(const char *adapter, Err *err);

#endif
