/* lora_ps - the parameter server of one run, in the foreground. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/version.h"
#include "common/config/config.h"
#include "common/config/options.h"
#include "ps/run.h"
#include "ps/server.h"

#include <stdlib.h>
#include <string.h>

typedef struct PsArguments {
    bool overwrite, help, version, print_config;
    const char *port_file, *trace;
    Arguments rest;
} PsArguments;

static bool load(Config *config, const PsArguments *given, const OptionTable *table, Err *err)
{
    if (!arguments_expect(&given->rest, table, 1, 1, err))
        return false;
    const ConfigSources sources = { .file = given->rest.positionals[0],
                                    .overrides = given->rest.overrides,
                                    .override_count = given->rest.override_count };
    return config_load(config, &sources, err);
}

/* What became of names of PEFT's and Trainer's, a line each. */
static void tell_notes(const Config *config)
{
    for (const char *line = config->notes; line && *line; line += strcspn(line, "\n") + 1)
        log_info("config", "%.*s", (int)strcspn(line, "\n"), line);
}

static int serve(Config *config, const PsArguments *given, Err *err)
{
    const PsConfig ps = config->ps;
    tell_notes(config);
    char *address = ps.address ? xstrdup(ps.address) : NULL; /* run_open takes the config */
    char *keys = ps.keys ? xstrdup(ps.keys) : NULL, *http = ps.http ? xstrdup(ps.http) : NULL;
    const ServerOptions options = { .address = address,
                                    .keys = keys,
                                    .insecure = ps.insecure,
                                    .lease_timeout = ps.lease_timeout,
                                    .http = http,
                                    .trace = given->trace,
                                    .ready_file = given->port_file };
    Run *run = config_check_training(config, err) ? run_open(config, given->overwrite, err) : NULL;
    int code = err_exit_code(err);
    if (run && run_is_complete(run)) /* it does not listen: nobody shall wait for it */
        log_info("run", "the run in this folder is complete, --overwrite starts anew");
    else if (run)
        code = server_run(run, &options, err);
    run_close(run);
    free(address);
    free(keys);
    free(http);
    return code;
}

static int run_command(const PsArguments *given, const OptionTable *table, Err *err)
{
    Text text = { 0 };
    Config config = { 0 };
    int code = 0;
    if (given->help) {
        options_help(table, given->rest.topic, &text);
    } else if (given->version) {
        text_addf(&text, "lora_ps %s\n", LORA_VERSION);
    } else if (!load(&config, given, table, err)) {
        code = err_exit_code(err);
    } else if (given->print_config) {
        config_print(&config, &text);
    } else {
        code = serve(&config, given, err);
    }
    if (text.data)
        fputs(text.data, stdout);
    text_release(&text);
    config_release(&config);
    return code;
}

int main(int argc, char **argv)
{
    PsArguments given = { 0 };
    const Option own[] = {
        { "overwrite", NULL, "start anew in an output_dir that holds a run", NULL, &given.overwrite },
        { "port-file", "FILE", "write the address here once it listens", &given.port_file, NULL },
        { "trace", "FILE", "write what server and clients do over time, for ui.perfetto.dev", &given.trace, NULL },
        { "print-config", NULL, "print the effective run file and stop", NULL, &given.print_config },
        { "help", NULL, "this text", NULL, &given.help },
        { "version", NULL, "the version", NULL, &given.version },
    };
    const OptionTable table = { "lora_ps",
                                "RUN.yaml",
                                "the parameter server of a run, until the run is complete",
                                own,
                                sizeof own / sizeof *own,
                                true,
                                0 };
    Err err = { 0 };
    log_setup("ps", LOG_INFO);
    mem_keep_freed();
    const bool read = options_read(&given.rest, &table, argc, argv, &err);
    const int code = read || given.help ? run_command(&given, &table, &err) : err_exit_code(&err);
    if (code != 0 && err.kind != ERR_NONE)
        err_print(&err, stderr);
    arguments_release(&given.rest);
    return code;
}
