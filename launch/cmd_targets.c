#include "launch/cmd_targets.h"

#include "common/base/err.h"
#include "common/base/text.h"
#include "common/config/config.h"
#include "common/slots/adapted.h"
#include "common/slots/init_adapter.h"
#include "launch/command.h"

static bool describe(const Config *c, Text *out, Err *err)
{
    const AdaptedOptions o = adapted_of(c);
    Adapted adapted;
    const bool ok = adapted_open(&adapted, &o, err);
    if (ok)
        slots_describe(adapted.table, adapted.arch, out);
    adapted_release(&adapted);
    return ok;
}

/* The run file, if one is given, and the overrides, of which --model is one. */
static bool load(Config *config, const Arguments *arguments, Err *err)
{
    const ConfigSources sources = {
        .file = arguments->positional_count > 0 ? arguments->positionals[0] : NULL,
        .overrides = arguments->overrides,
        .override_count = arguments->override_count,
    };
    if (!sources.file && !arguments_key(arguments, "model")) {
        err_set(err, ERR_INPUT, "no --model and no run file");
        return err_hint(err, "lora targets --model=DIR --lora.target_modules=query,value");
    }
    return config_load(config, &sources, err) && init_adapter_take(config, NULL, err);
}

static bool run(void *self, const Arguments *arguments, Err *err)
{
    (void)self;
    Config config = { 0 };
    Text out = { 0 };
    bool ok = load(&config, arguments, err);
    if (ok) {
        ok = describe(&config, &out, err);
        config_release(&config);
    }
    if (ok && (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0))
        ok = err_errno(err, "cannot write to standard output");
    text_release(&out);
    return ok;
}

int cmd_targets(int argc, char **argv)
{
    bool help = false;
    const Option own[] = { { "help", NULL, "this text", NULL, &help } };
    const OptionTable table = { "lora targets",
                                "[RUN.yaml]",
                                "prints which modules of a model would be adapted "
                                "(--model=DIR, --lora.target_modules=NAMES)",
                                own,
                                sizeof own / sizeof *own,
                                true,
                                0 };
    return command_main(&(Command){ &table, &help, 0, 1, run, NULL }, argc, argv);
}
