/* cmd_verify - `lora verify`: is what a run left on disk whole?
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_VERIFY_H
#define LAUNCH_CMD_VERIFY_H

int cmd_verify(int argc, char **argv);

#endif
