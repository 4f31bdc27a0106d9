/* cmd_predict - `lora predict`: argv[0] is "predict". Returns the exit code.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_PREDICT_H
#define LAUNCH_CMD_PREDICT_H

int cmd_predict(int argc, char **argv);

#endif
