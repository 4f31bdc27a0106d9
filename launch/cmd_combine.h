/* cmd_combine - `lora combine`: several adapters of one model become one.
 *
 * Threads: one. */
#ifndef LAUNCH_CMD_COMBINE_H
#define LAUNCH_CMD_COMBINE_H

int cmd_combine(int argc, char **argv);

#endif
