/* cmd_order - `lora drain`, `lora checkpoint` and `lora stop`: what a running parameter server is told to do.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_ORDER_H
#define LAUNCH_CMD_ORDER_H

int cmd_drain(int argc, char **argv);
int cmd_checkpoint(int argc, char **argv);
int cmd_stop(int argc, char **argv);

#endif
