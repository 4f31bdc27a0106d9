#include "launch/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool command_agree(const Groups *groups, bool ok)
{
    return groups ? group_agree(&groups->job, ok) : ok;
}

/* By the first rank, and by those that found something else. */
static void say(const Groups *groups, const Err *err)
{
    char *first = groups ? group_share_text(&groups->job, err->what) : NULL;
    const bool said = groups && groups->job.rank != 0 && first && strcmp(first, err->what) == 0;
    if (err->what[0] && !said)
        err_print(err, stderr);
    free(first);
}

int command_main(const Command *command, int argc, char **argv)
{
    return command_together(command, NULL, argc, argv);
}

int command_together(const Command *command, const Groups *groups, int argc, char **argv)
{
    Arguments given = { 0 };
    Text text = { 0 };
    Err err = { 0 };
    bool ok = options_read(&given, command->table, argc, argv, &err);
    if (*command->help) {
        options_help(command->table, given.topic, &text);
        fputs(text.data, stdout);
        ok = true;
    } else {
        ok = ok && arguments_expect(&given, command->table, command->least, command->most, &err) &&
             command->run(command->self, &given, &err);
    }
    if (!command_agree(groups, ok))
        say(groups, &err);
    text_release(&text);
    arguments_release(&given);
    const int code = ok ? 0 : err_exit_code(&err);
    return groups ? group_most(&groups->job, code) : code;
}
