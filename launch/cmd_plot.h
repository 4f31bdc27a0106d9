/* cmd_plot - `lora plot`: loss and metric curves of several runs in one picture.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_PLOT_H
#define LAUNCH_CMD_PLOT_H

int cmd_plot(int argc, char **argv);

#endif
