/* command - what the commands of `lora` share: words are read, help is given, an error is said.
 *
 * Threads: one. */
#ifndef LAUNCH_COMMAND_H
#define LAUNCH_COMMAND_H

#include "common/config/options.h"

typedef struct Command {
    const OptionTable *table;
    const bool *help; /* what the table's option --help sets */
    int least, most; /* words besides options */
    /* Works; given is lent. False with *err. */
    bool (*run)(void *self, const Arguments *given, Err *err);
    void *self;
} Command;

/* argv[0] is the command's name. The program's exit code. */
int command_main(const Command *command, int argc, char **argv);

#endif
