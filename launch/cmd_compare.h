/* cmd_compare - `lora compare`: argv[0] is "compare". Returns the exit code.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_COMPARE_H
#define LAUNCH_CMD_COMPARE_H

int cmd_compare(int argc, char **argv);

#endif
