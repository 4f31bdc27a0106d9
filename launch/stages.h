/* stages - `lora_worker --evaluate` and `--predict`: `lora eval` and `lora predict` of a model that no process holds whole.
 * Each rank of an mpirun holds a stage of it, and runs the command; the first one's words are those that are heard.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_STAGES_H
#define LAUNCH_STAGES_H

#include <stdbool.h>

/* argv[0] is --evaluate or --predict. */
bool stages_is_command(const char *word);

/* The exit code; argv is the command's. */
int stages_main(int argc, char **argv);

#endif
