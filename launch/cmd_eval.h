/* cmd_eval - `lora eval`: argv[0] is "eval". Returns the exit code.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_EVAL_H
#define LAUNCH_CMD_EVAL_H

#include "worker/comm/split.h"

int cmd_eval(int argc, char **argv);

/* The same on all ranks of a job, each of which holds a stage of the model. groups NULL: one process. Collective. */
int cmd_eval_stages(int argc, char **argv, const Groups *groups);

#endif
