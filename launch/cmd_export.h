/* cmd_export - `lora export`: a model in the form of another runtime.
 *
 * Threads: one. */
#ifndef LAUNCH_CMD_EXPORT_H
#define LAUNCH_CMD_EXPORT_H

int cmd_export(int argc, char **argv);

#endif
