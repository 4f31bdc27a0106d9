/* cmd_predict - `lora predict`: argv[0] is "predict". Returns the exit code.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_PREDICT_H
#define LAUNCH_CMD_PREDICT_H

#include "worker/comm/split.h"

int cmd_predict(int argc, char **argv);

/* The same on all ranks of a job, each of which holds a stage of the model. groups NULL: one process. Collective. */
int cmd_predict_stages(int argc, char **argv, const Groups *groups);

#endif
