/* cmd_schema - `lora schema`: the JSON Schema of the run file, for editors.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_SCHEMA_H
#define LAUNCH_CMD_SCHEMA_H

int cmd_schema(int argc, char **argv);

#endif
