#include "launch/cmd_verify.h"

#include "common/base/mem.h"
#include "launch/command.h"
#include "ps/verify.h"

static bool run(void *self, const Arguments *arguments, Err *err)
{
    VerifyOptions *options = self;
    Text out = { 0 };
    options->folder = arguments->positionals[0];
    const bool ok = verify_run(options, &out, err);
    if (out.data)
        fputs(out.data, stdout);
    text_release(&out);
    return ok;
}

int cmd_verify(int argc, char **argv)
{
    VerifyOptions options = { 0 };
    bool help = false;
    const Option own[] = {
        { "cut", NULL, "a damaged log loses what is behind the damage (a copy stays): the run goes on before it", NULL,
          &options.cut },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora verify",
                                "RUN_DIR",
                                "reads log, checkpoints and adapter of a run with every check; exit code 1: damaged",
                                own,
                                LENGTH(own),
                                false,
                                0 };
    return command_main(&(Command){ &table, &help, 1, 1, run, &options }, argc, argv);
}
