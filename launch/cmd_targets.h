/* cmd_targets - `lora targets`: which modules of a model would be adapted.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_TARGETS_H
#define LAUNCH_CMD_TARGETS_H

/* argv[0] is "targets". The program's exit code. */
int cmd_targets(int argc, char **argv);

#endif
