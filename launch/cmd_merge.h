/* cmd_merge - `lora merge`: an adapter and its base become one model folder.
 *
 * Threads: one. */
#ifndef LAUNCH_CMD_MERGE_H
#define LAUNCH_CMD_MERGE_H

int cmd_merge(int argc, char **argv);

#endif
