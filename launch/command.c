#include "launch/command.h"

#include <stdio.h>

int command_main(const Command *command, int argc, char **argv)
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
    if (!ok)
        err_print(&err, stderr);
    text_release(&text);
    arguments_release(&given);
    return ok ? 0 : err_exit_code(&err);
}
