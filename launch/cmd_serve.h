/* cmd_serve - `lora serve`: argv[0] is "serve". Returns the exit code.
 *
 * Threads: the main thread; a network thread and a thread that computes are its own. */
#ifndef LAUNCH_CMD_SERVE_H
#define LAUNCH_CMD_SERVE_H

int cmd_serve(int argc, char **argv);

#endif
