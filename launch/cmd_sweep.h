/* cmd_sweep - `lora sweep`: argv[0] is "sweep". Returns the exit code.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_SWEEP_H
#define LAUNCH_CMD_SWEEP_H

int cmd_sweep(int argc, char **argv);

#endif
