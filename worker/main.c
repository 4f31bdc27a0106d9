/* lora_worker - the ranks that compute: `mpirun -n N lora_worker [RUN.yaml]`. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/base/serve.h"
#include "common/base/version.h"
#include "common/config/options.h"
#include "common/wire/keys.h"
#include "launch/stages.h"
#include "worker/comm/meet.h"
#include "worker/train/fit.h"
#include "worker/train/job.h"
#include "worker/train/preflight.h"
#include "worker/train/profile_report.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct WorkerArguments {
    bool help, version, print_config, meet, evaluate, predict;
    const char *profile;
    Arguments rest;
} WorkerArguments;

/* Before MPI is up: what mpirun, or srun with PMIx, put into the environment. */
static bool is_first_rank(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!rank)
        rank = getenv("PMIX_RANK");
    return !rank || strcmp(rank, "0") == 0;
}

/* Where the server is: --ps.address, LORA_PS, the run file; NULL: nowhere. Owned. */
static char *given_address(const WorkerArguments *given, const ConfigSources *sources, Err *err)
{
    const char *address = arguments_key(&given->rest, "ps.address");
    if (!address)
        address = getenv("LORA_PS");
    if (address && *address)
        return xstrdup(address);
    Config config = { 0 };
    char *found = NULL;
    if (sources->file && config_load(&config, sources, err) && config.ps.address)
        found = xstrdup(config.ps.address);
    config_release(&config);
    return found;
}

/* What the server knows us by: of --ps.keys, LORA_KEYS, the run file; NULL: nothing. Owned. */
static char *given_keys(const WorkerArguments *given, const ConfigSources *sources, Err *err)
{
    char *line = keys_line(arguments_key(&given->rest, "ps.keys"), err);
    Config config = { 0 };
    if (!line && err->kind == ERR_NONE && sources->file && config_load(&config, sources, err) && config.ps.keys)
        line = keys_line(config.ps.keys, err);
    config_release(&config);
    return line;
}

/* The same for how many of the job are on this machine; 1: nobody says. */
static int64_t ranks_here(void)
{
    const char *ranks = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    const long count = ranks ? strtol(ranks, NULL, 10) : 1;
    return count > 0 ? count : 1;
}

/* Before a server of our own is started. */
static bool check_run(const ConfigSources *sources, Err *err)
{
    const FitOptions fit = { .ranks = ranks_here(), .server = true };
    Config config = { 0 };
    bool chosen;
    const bool ok = config_load(&config, sources, err) && config_check_training(&config, err) &&
                    preflight(&config, err) && fit_choose(&config, &fit, &chosen, err) && fit_check(&config, &fit, err);
    config_release(&config);
    return ok;
}

/* A server of our own on loopback, for the ranks of this node. */
static bool start_server(ServerProcess *server, const WorkerArguments *given, const char *file, Err *err)
{
    const int count = given->rest.override_count + 1;
    const char **words = xcalloc((size_t)count, sizeof *words);
    words[0] = file;
    for (int i = 1; i < count; i++)
        words[i] = xprintf("--%s", given->rest.overrides[i - 1]);
    const bool ok = serve_start(server, words, count, err);
    for (int i = 1; i < count; i++)
        free((void *)(uintptr_t)words[i]);
    free(words);
    return ok;
}

/* What all ranks found is said once: by the first. */
static void say_once(const Group *job, Err *err)
{
    char *first = group_share_text(job, err->what);
    if (job->rank != 0 && strcmp(first, err->what) == 0)
        err->what[0] = '\0';
    free(first);
}

/* What keeps one rank from opening ends all, and each with that rank's code: mpirun reports the
 * code of the first that leaves. */
static int train(const Groups *groups, const ConfigSources *sources, const char *address, const char *keys, Err *err)
{
    const char *profile = getenv(PROFILE_VARIABLE);
    const int rank = groups->job.rank;
    Job job;
    int code = 0;
    if (!job_open(&job, groups, sources, address, keys, err)) {
        code = group_most(&groups->job, err_exit_code(err));
        say_once(&groups->job, err);
    } else if ((profile && !group_agree(&groups->job, profile_report_begin(rank, profile, err))) ||
               !job_work(&job, &code, err) ||
               (profile && !profile_report_end(rank, job.run.arithmetic.name, profile, err))) {
        code = err->kind != ERR_NONE ? err_exit_code(err) : code;
    }
    job_close(&job);
    return code;
}

/* Between MPI_Init and its end. Every rank knows the address, or that there is none. */
static int with_mpi(Comm *comm, const ConfigSources *sources, const char *address, const char *keys, ServerProcess *own,
                    Err *err)
{
    Groups groups;
    if (!comm_groups(&groups, comm, 1, 1, err))
        return err_exit_code(err);
    char *everywhere = group_share_text(&groups.job, address), *all_keys = group_share_text(&groups.job, keys);
    int code;
    if (!everywhere) {
        code = own->code; /* 0: the run is complete already */
    } else if (own->pid > 0 && groups.nodes > 1) {
        err_set(err, ERR_INPUT, "the ranks are on %d nodes, and there is no ps.address", groups.nodes);
        err_hint(err, "start lora_ps on one node and give --ps.address=tcp://HOST:PORT");
        code = 2;
    } else {
        char who[16];
        snprintf(who, sizeof who, "w%d", groups.job.rank);
        log_setup(who, groups.job.rank == 0 ? LOG_INFO : LOG_WARN);
        code = train(&groups, sources, everywhere, all_keys, err);
    }
    free(everywhere);
    free(all_keys);
    return code;
}

static int run(int *argc, char ***argv, const WorkerArguments *given, Err *err)
{
    const ConfigSources sources = {
        .file = given->rest.positional_count > 0 ? given->rest.positionals[0] : NULL,
        .overrides = given->rest.overrides,
        .override_count = given->rest.override_count,
    };
    ServerProcess own = { .pid = -1, .code = 0 };
    char *address = is_first_rank() ? given_address(given, &sources, err) : NULL;
    if (is_first_rank() && !address && err->kind == ERR_NONE) {
        if (!sources.file) {
            err_set(err, ERR_INPUT, "neither a run file nor the address of a server was given");
            err_hint(err, "lora_worker RUN.yaml, or --ps.address=tcp://HOST:PORT, or LORA_PS in the environment");
        } else if (check_run(&sources, err) && start_server(&own, given, sources.file, err)) {
            address = xstrdup(own.address);
        }
    }
    char *keys = address ? given_keys(given, &sources, err) : NULL;
    if (err->kind != ERR_NONE)
        own.code = err_exit_code(err);
    Comm *comm = comm_open(argc, argv, err);
    int code =
        comm ? with_mpi(comm, &sources, err->kind == ERR_NONE ? address : NULL, keys, &own, err) : err_exit_code(err);
    if (err->kind != ERR_NONE && err->what[0])
        err_print(err, stderr);
    if (own.pid > 0 && own.address) {
        if (code != 0) /* nobody will work for it */
            kill(own.pid, SIGTERM);
        const int verdict = process_wait(own.pid, 30);
        code = code ? code : verdict;
    }
    /* the others see that this rank left with a code: mpirun reports it */
    comm_close(comm);
    free(own.address);
    free(address);
    free(keys);
    return code;
}

static int say(const OptionTable *table, const WorkerArguments *given)
{
    Text text = { 0 };
    if (given->help)
        options_help(table, given->rest.topic, &text);
    else
        text_addf(&text, "lora_worker %s\n", LORA_VERSION);
    fputs(text.data, stdout);
    text_release(&text);
    return 0;
}

static int meet_only(int *argc, char ***argv, Err *err)
{
    Comm *comm = comm_open(argc, argv, err);
    if ((!comm || !meet(comm, err)) && err->what[0])
        err_print(err, stderr);
    comm_close(comm);
    return err_exit_code(err);
}

static int print_config(const WorkerArguments *given, Err *err)
{
    const ConfigSources sources = { .file = given->rest.positional_count > 0 ? given->rest.positionals[0] : NULL,
                                    .overrides = given->rest.overrides,
                                    .override_count = given->rest.override_count };
    Config config = { 0 };
    Text text = { 0 };
    if (!config_load(&config, &sources, err)) {
        err_print(err, stderr);
        return err_exit_code(err);
    }
    config_print(&config, &text);
    fputs(text.data, stdout);
    text_release(&text);
    config_release(&config);
    return 0;
}

int main(int argc, char **argv)
{
    WorkerArguments given = { 0 };
    const Option own[] = {
        { "print-config", NULL, "print the effective run file and stop", NULL, &given.print_config },
        { "profile", "FILE", "print where the time goes, by kernel; the calls of a step to FILE, for ui.perfetto.dev",
          &given.profile, NULL },
        { "meet", NULL, "see whether the ranks of a job come together, and stop", NULL, &given.meet },
        { "evaluate", NULL, "first, before words as those of lora eval: each rank holds a stage of the model", NULL,
          &given.evaluate },
        { "predict", NULL, "the same with those of lora predict", NULL, &given.predict },
        { "help", NULL, "this text", NULL, &given.help },
        { "version", NULL, "the version", NULL, &given.version },
    };
    const OptionTable table = { "lora_worker",
                                "[RUN.yaml]",
                                "computes for a run: mpirun -n 16 lora_worker --ps.address=tcp://head:7700",
                                own,
                                sizeof own / sizeof *own,
                                true,
                                0 };
    Err err = { 0 };
    int code;
    mem_keep_freed();
    if (argc > 1 && stages_is_command(argv[1]))
        return stages_main(argc - 1, argv + 1);
    const bool read =
        options_read(&given.rest, &table, argc, argv, &err) && arguments_expect(&given.rest, &table, 0, 1, &err);
    if (given.help || given.version) {
        code = say(&table, &given);
    } else if (!read || given.evaluate || given.predict) {
        if (read)
            err_set(&err, ERR_INPUT, "--%s has to be the first word", given.evaluate ? "evaluate" : "predict");
        err_print(&err, stderr);
        code = err_exit_code(&err);
    } else if (given.meet) {
        code = meet_only(&argc, &argv, &err);
    } else {
        if (given.profile)
            setenv(PROFILE_VARIABLE, given.profile, 1);
        code = given.print_config ? print_config(&given, &err) : run(&argc, &argv, &given, &err);
    }
    arguments_release(&given.rest);
    return code;
}
