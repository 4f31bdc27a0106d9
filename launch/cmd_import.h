/* `lora import`: Parquet and Arrow files, folders of the library `datasets`, data sets of the hub, as rows that every
 * command reads.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_IMPORT_H
#define LAUNCH_CMD_IMPORT_H

int cmd_import(int argc, char **argv);

#endif
