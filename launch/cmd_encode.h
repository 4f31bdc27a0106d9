/* cmd_encode - `lora encode`: the token ids of each line of a text, as JSON lines.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_ENCODE_H
#define LAUNCH_CMD_ENCODE_H

/* argv[0] is "encode". The program's exit code. */
int cmd_encode(int argc, char **argv);

#endif
