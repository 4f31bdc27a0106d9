#include "launch/cmd_train.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/serve.h"
#include "common/base/version.h"
#include "common/config/options.h"
#include "common/wire/keys.h"
#include "launch/command_words.h"
#include "launch/supervise.h"
#include "launch/workers.h"
#include "worker/train/fit.h"
#include "worker/train/preflight.h"
#include "worker/train/profile_report.h"
#include "worker/train/stages.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct TrainArguments {
    const char *ranks, *file, *trace, *profile;
    bool overwrite, help, version, print_config;
    int64_t rank_count;
    Arguments rest;
} TrainArguments;

/* ---- what is checked before anything starts --------------------------------------- */

static bool prepare(const TrainArguments *given, CommandWords *server, Err *err)
{
    const ConfigSources sources = { .file = given->file,
                                    .overrides = given->rest.overrides,
                                    .override_count = given->rest.override_count };
    const FitOptions fit = { .ranks = given->rank_count, .server = true };
    Config config = { 0 };
    bool chosen = false;
    command_words_add(server, xstrdup(given->file));
    for (int i = 0; i < given->rest.override_count; i++)
        command_words_add(server, xprintf("--%s", given->rest.overrides[i]));
    if (given->overwrite)
        command_words_add(server, xstrdup("--overwrite"));
    if (given->trace)
        command_words_add(server, xprintf("--trace=%s", given->trace));
    const bool ok = config_load(&config, &sources, err) && config_check_training(&config, err) &&
                    stages_check_ranks(&config, given->rank_count, err) && preflight(&config, err) &&
                    fit_choose(&config, &fit, &chosen, err) && fit_check(&config, &fit, err);
    if (ok && chosen)
        command_words_add(server,
                          xprintf("--parallel.micro_batch_tokens=%lld", (long long)config.parallel.micro_batch_tokens));
    if (ok && config.ps.keys) /* for the workers, and for what we ask the server ourselves */
        setenv(KEYS_VARIABLE, config.ps.keys, 1);
    config_release(&config);
    return ok;
}

/* ---- the run -------------------------------------------------------------------------- */

static int train(const TrainArguments *given, Err *err)
{
    CommandWords words = { 0 };
    ServerProcess server = { .pid = -1 };
    int code;
    log_setup("lora", LOG_INFO);
    supervise_signals();
    if (!prepare(given, &words, err)) {
        code = err_exit_code(err);
    } else if (!serve_start(&server, (const char *const *)words.items, words.count, err)) {
        if (err->kind == ERR_NONE && supervise_server_died(server.code))
            err_set(err, ERR_IO, "lora_ps died with code %d before it listened", server.code);
        code = err->kind != ERR_NONE ? err_exit_code(err) : server.code;
    } else {
        const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
        workers_warn(given->rank_count, cores);
        workers_environment(given->rank_count, cores);
        if (given->profile)
            setenv(PROFILE_VARIABLE, given->profile, 1);
        code = supervise(&server, (const char *const *)words.items, words.count, given->rank_count, err);
    }
    command_words_release(&words);
    free(server.address);
    return code;
}

/* ---- the command line ------------------------------------------------------------------ */

static bool check(TrainArguments *given, const OptionTable *table, Err *err)
{
    given->rank_count = sysconf(_SC_NPROCESSORS_ONLN);
    if (!arguments_expect(&given->rest, table, 1, 1, err))
        return false;
    given->file = given->rest.positionals[0];
    return !given->ranks || option_int("ranks", given->ranks, 1, 4096, &given->rank_count, err);
}

static int print_config(const TrainArguments *given, Err *err)
{
    const ConfigSources sources = { .file = given->file,
                                    .overrides = given->rest.overrides,
                                    .override_count = given->rest.override_count };
    Config config = { 0 };
    Text text = { 0 };
    if (config_load(&config, &sources, err)) {
        config_print(&config, &text);
        fputs(text.data, stdout);
    }
    text_release(&text);
    config_release(&config);
    return err_exit_code(err);
}

int cmd_train(int argc, char **argv)
{
    TrainArguments given = { 0 };
    const Option own[] = {
        { "ranks", "N", "worker processes; default: one a core", &given.ranks, NULL },
        { "overwrite", NULL, "start anew in an output_dir that holds a run", NULL, &given.overwrite },
        { "trace", "FILE", "write what server and clients do over time, for ui.perfetto.dev", &given.trace, NULL },
        { "profile", "FILE", "print where the time goes, by kernel; the calls of a step to FILE, for ui.perfetto.dev",
          &given.profile, NULL },
        { "print-config", NULL, "print the effective run file and stop", NULL, &given.print_config },
        { "help", NULL, "this text", NULL, &given.help },
    };
    const OptionTable table = {
        "lora train", "RUN.yaml", "trains an adapter on this machine", own, sizeof own / sizeof *own, true, 0
    };
    Err err = { 0 };
    Text help = { 0 };
    int code = 0;
    const bool ok = options_read(&given.rest, &table, argc, argv, &err);
    if (given.help) {
        options_help(&table, given.rest.topic, &help);
        fputs(help.data, stdout);
        err = (Err){ 0 };
    } else if (!ok || !check(&given, &table, &err)) {
        code = err_exit_code(&err);
    } else {
        code = given.print_config ? print_config(&given, &err) : train(&given, &err);
    }
    if (err.kind != ERR_NONE)
        err_print(&err, stderr);
    text_release(&help);
    arguments_release(&given.rest);
    return code;
}
