/* cmd_train - `lora train`: argv[0] is "train". Returns the exit code.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_TRAIN_H
#define LAUNCH_CMD_TRAIN_H

int cmd_train(int argc, char **argv);

#endif
