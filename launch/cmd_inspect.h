/* `lora inspect PATH [--json]`: argv[0] is "inspect". Returns the exit code. */
#ifndef LAUNCH_CMD_INSPECT_H
#define LAUNCH_CMD_INSPECT_H

int cmd_inspect(int argc, char **argv);

#endif
