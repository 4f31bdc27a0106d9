/* command - what the commands of `lora` share: words are read, help is given, an error is said.
 *
 * Threads: one. */
#ifndef LAUNCH_COMMAND_H
#define LAUNCH_COMMAND_H

#include "common/config/options.h"
#include "worker/comm/split.h"

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

/* The same on all ranks of a job (NULL: there is none), which run it alike: what all find wrong is said once, and the
 * code is the largest. Collective: over the job. */
int command_together(const Command *command, const Groups *groups, int argc, char **argv);

/* True where it is on all ranks of the job. Collective: over it. */
bool command_agree(const Groups *groups, bool ok);

#endif
