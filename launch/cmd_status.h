/* cmd_status - `lora status ADDRESS [--json]`: the live state of a parameter server.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_STATUS_H
#define LAUNCH_CMD_STATUS_H

/* argv[0] is "status". The program's exit code. */
int cmd_status(int argc, char **argv);

#endif
