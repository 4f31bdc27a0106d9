/* cmd_embed - `lora embed`: the embedding of each text, as JSON lines or as one NumPy file.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_EMBED_H
#define LAUNCH_CMD_EMBED_H

/* argv[0] is "embed". The program's exit code. */
int cmd_embed(int argc, char **argv);

#endif
