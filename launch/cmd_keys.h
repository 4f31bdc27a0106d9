/* cmd_keys - `lora keys`: who may talk to a server (common/wire/keys.h).
 *
 * Threads: one. */
#ifndef LAUNCH_CMD_KEYS_H
#define LAUNCH_CMD_KEYS_H

int cmd_keys(int argc, char **argv);

#endif
