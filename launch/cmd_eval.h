/* `lora eval`: argv[0] is "eval". Returns the exit code. */
#ifndef LAUNCH_CMD_EVAL_H
#define LAUNCH_CMD_EVAL_H

int cmd_eval(int argc, char **argv);

#endif
