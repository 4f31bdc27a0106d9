/* cmd_eval - `lora eval`: argv[0] is "eval". Returns the exit code.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_EVAL_H
#define LAUNCH_CMD_EVAL_H

int cmd_eval(int argc, char **argv);

#endif
