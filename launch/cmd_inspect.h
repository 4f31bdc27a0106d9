/* cmd_inspect - `lora inspect PATH [--json]`: argv[0] is "inspect". Returns the exit code.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_INSPECT_H
#define LAUNCH_CMD_INSPECT_H

int cmd_inspect(int argc, char **argv);

#endif
