#include "worker/train/job_run.h"

#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/slots/init_adapter.h"
#include "common/wire/facts.h"
#include "worker/train/find_labels.h"
#include "worker/train/fit.h"

#include <stdlib.h>
#include <string.h>

/* ---- the run file -------------------------------------------------------------------- */

/* The server's run file, owned; its run becomes ours. A client of its own a question: a late answer to the one
 * before is none to this. */
static char *ask(JobRun *run, const PsConfig *ps, const char *found, Err *err)
{
    const PsClientOptions o = { run->address, run->keys, ps->heartbeat, ps->patience, 0 };
    PsClient *asking = ps_client_open(&o, err);
    char *text = NULL;
    const bool ok = asking && ps_client_ask(asking, found, &text, &run->id, err);
    ps_client_close(asking);
    return ok ? text : NULL;
}

/* Rank 0's first question. How patiently is said by the command line, as there is no run yet. */
static char *ask_first(JobRun *run, const ConfigSources *sources, Err *err)
{
    const ConfigSources own = { .overrides = sources->overrides, .override_count = sources->override_count };
    Config config = { 0 };
    char *text = config_load_keys(&config, &own, err) ? ask(run, &config.ps, NULL, err) : NULL;
    config_release(&config);
    return text;
}

/* Rank 0: the server's run as we read it, with the places of this machine. */
static bool load_run(Config *config, const char *text, const ConfigSources *own, Err *err)
{
    const ConfigSources all = { "the server's run", text, own->overrides, own->override_count };
    return config_load(config, &all, err);
}

/* Rank 0: where nobody named the labels yet, the server is told those that are in our data; where nobody said how large
 * micro-batches are, what there is room for. It answers with the run's, which another may have told before. *text: what it
 * said, or NULL; replaced. */
static bool settle(JobRun *run, Config *config, char **text, Err *err)
{
    const FitOptions fit = { .ranks = run->groups.node.size };
    bool found, chosen;
    if (!find_labels(config, &found, err) || !fit_choose(config, &fit, &chosen, err) || (!found && !chosen))
        return err->kind == ERR_NONE;
    Text ours = { 0 };
    config_print(config, &ours);
    free(*text);
    *text = ask(run, &config->ps, ours.data, err);
    text_release(&ours);
    return *text != NULL;
}

/* False on all ranks where it is false on one. *shared is rank 0's text; takes `text`. */
static bool share(JobRun *run, bool ok, char *text, char **shared)
{
    ok = group_agree(&run->groups.job, ok);
    *shared = ok ? group_share_text(&run->groups.job, text) : NULL;
    free(text);
    return ok;
}

/* Rank 0 asks the server; everybody reads the same text. */
static bool run_from_server(JobRun *run, const ConfigSources *sources, Err *err)
{
    char *text = NULL;
    bool ok = true;
    if (run->groups.job.rank == 0) {
        Config config = { 0 };
        ok = (text = ask_first(run, sources, err)) && load_run(&config, text, sources, err) &&
             settle(run, &config, &text, err);
        config_release(&config);
    }
    char *shared;
    if (!share(run, ok, text, &shared))
        return false;
    run->id = group_share_number(&run->groups.job, run->id);
    ok = load_run(&run->config, shared, sources, err);
    free(shared);
    return ok;
}

/* A run file of our own, and the labels of the server's run where it names none. */
static bool run_from_file(JobRun *run, const ConfigSources *sources, Err *err)
{
    char *text = NULL;
    bool ok = config_load(&run->config, sources, err) && init_adapter_take(&run->config, NULL, err);
    if (run->groups.job.rank == 0) {
        Config config = { 0 };
        ok = ok && config_load(&config, sources, err) && init_adapter_take(&config, NULL, err) &&
             settle(run, &config, &text, err);
        config_release(&config);
    }
    char *shared;
    if (!share(run, ok, text, &shared))
        return false;
    Config theirs = { 0 };
    ok = !shared ||
         (load_run(&theirs, shared, &(ConfigSources){ 0 }, err) && config_take_labels(&run->config, &theirs, err) &&
          (run->config.parallel.micro_batch_tokens > 0 || config_take_pieces(&run->config, &theirs, err)));
    config_release(&theirs);
    free(shared);
    run->id = 0; /* joins whatever run there is with this file */
    return ok;
}

bool job_run_ask(JobRun *run, const ConfigSources *sources, Err *err)
{
    return group_agree(&run->groups.job,
                       sources->file ? run_from_file(run, sources, err) : run_from_server(run, sources, err));
}

/* ---- HELLO ------------------------------------------------------------------------------- */

static void set_arithmetic(HelloFacts *facts, const Arithmetic *arithmetic)
{
    snprintf(facts->arithmetic, sizeof facts->arithmetic, "%s", arithmetic->name);
    facts->fingerprint = arithmetic->fingerprint;
}

/* Leader: HELLO with what we have; *fixed: the run file with every key fixed, owned by the caller. Where
 * the run computes otherwise than we would, we follow if we can. */
static bool greet(JobRun *run, HelloFacts *mine, char **fixed, Err *err)
{
    const PsClientOptions o = { run->address, run->keys, run->config.ps.heartbeat, run->config.ps.patience, run->id };
    Text text = { 0 };
    config_print(&run->config, &text);
    run->client = ps_client_open(&o, err);
    bool ok = run->client != NULL;
    while (ok && !*fixed) {
        char *follow;
        ok = ps_client_hello(run->client, mine, text.data, fixed, &follow, err);
        if (ok && follow && strcmp(follow, mine->arithmetic) != 0) { /* else an answer to an earlier one */
            ok = arithmetic_follow(&run->arithmetic, follow, err);
            set_arithmetic(mine, &run->arithmetic);
        }
        free(follow);
    }
    text_release(&text);
    return ok;
}

/* All ranks: the run's arithmetic, which the leader follows already. */
static bool follow_run(JobRun *run, Err *err)
{
    const ParallelConfig *p = &run->config.parallel;
    if (!p->fingerprint)
        return err_set(err, ERR_PEER, "the server did not fix parallel.fingerprint");
    if (strcmp(p->arithmetic, run->arithmetic.name) != 0 && !arithmetic_follow(&run->arithmetic, p->arithmetic, err))
        return false;
    Text products = { 0 };
    arithmetic_products(&products);
    log_info("arithmetic", "%s: %s", run->arithmetic.name, products.data);
    text_release(&products);
    return arithmetic_check(&run->arithmetic, p->arithmetic, p->fingerprint, err);
}

/* Leaders say hello; the run file that comes back replaces ours. */
bool job_run_hello(JobRun *run, HelloFacts *mine, Err *err)
{
    mine->job = group_share_number(&run->groups.job, rng_entropy());
    set_arithmetic(mine, &run->arithmetic);
    char *fixed = NULL;
    const bool greeted = !groups_lead(&run->groups) || greet(run, mine, &fixed, err);
    if (!group_agree(&run->groups.job, greeted)) {
        free(fixed);
        return false;
    }
    char *shared = group_share_text(&run->groups.job, fixed);
    free(fixed);
    Config own = run->config;
    run->config = (Config){ 0 };
    const ConfigSources sources = { "the server's run", shared, NULL, 0 };
    bool ok = config_load(&run->config, &sources, err) && config_take_own(&run->config, &own, err);
    config_release(&own);
    if (ok && run->config.parallel.micro_batches < 1)
        ok = err_set(err, ERR_PEER, "the server did not fix parallel.micro_batches");
    ok = ok && follow_run(run, err);
    if (ok && run->client)
        ps_client_plan(run->client,
                       facts_plan(mine, config_digest(&run->config, true), run->config.parallel.micro_batches),
                       &run->config.ps);
    free(shared);
    return group_agree(&run->groups.job, ok);
}

void job_run_release(JobRun *run)
{
    ps_client_close(run->client);
    config_release(&run->config);
    free(run->address);
    free(run->keys);
    *run = (JobRun){ 0 };
}
