#include "launch/cmd_schema.h"

#include "common/config/config_man.h"
#include "common/config/config_schema.h"
#include "launch/command.h"

#include <stdio.h>

static bool print_page(Err *err)
{
    Text page = { 0 };
    config_man(&page);
    const bool ok = fwrite(page.data, 1, page.size, stdout) == page.size && fflush(stdout) == 0;
    text_release(&page);
    return ok || err_errno(err, "cannot write to standard output");
}

static bool run(void *self, const Arguments *given, Err *err)
{
    (void)given;
    if (*(const bool *)self)
        return print_page(err);
    json_t *schema = config_schema();
    const bool ok = json_dumpf(schema, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;
    json_decref(schema);
    return ok || err_errno(err, "cannot write to standard output");
}

int cmd_schema(int argc, char **argv)
{
    bool help = false, man = false;
    const Option own[] = {
        { "man", NULL, "the manual page run.yaml(5) instead: `lora schema --man | man -l -`", NULL, &man },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora schema",
                                "",
                                "prints the JSON Schema of the run file; for an editor, save it and write\n"
                                "  # yaml-language-server: $schema=FILE\n"
                                "into the first line of the run file",
                                own,
                                sizeof own / sizeof *own,
                                false,
                                0 };
    return command_main(&(Command){ &table, &help, 0, 0, run, &man }, argc, argv);
}
