#include "ps/piece_tokens.h"

#include "common/base/log.h"
#include "ps/run_state.h"
#include "ps/save.h"

static bool is_ours(const Run *run, const Config *theirs)
{
    Text keys = { 0 };
    const bool same = config_same_run(&run->config, theirs, COMPARE_WORKER, &keys);
    text_release(&keys);
    return same;
}

void piece_tokens_take(Run *run, const char *text)
{
    Config theirs = { 0 };
    const ConfigSources sources = { .file = "the worker's run file", .text = text };
    Err err = { 0 };
    if (run->begun || run->config.parallel.micro_batch_tokens > 0)
        return;
    if (config_load(&theirs, &sources, &err) && theirs.parallel.micro_batch_tokens > 0 && is_ours(run, &theirs) &&
        config_take_pieces(&run->config, &theirs, &err) && save_settings(run, &err))
        log_info("run", "parallel.micro_batch_tokens=%lld, as a worker has room",
                 (long long)run->config.parallel.micro_batch_tokens);
    config_release(&theirs);
}

void piece_tokens_settle(Run *run)
{
    char number[24];
    Err err = { 0 };
    snprintf(number, sizeof number, "%lld", (long long)config_piece_tokens(&run->config));
    if (!config_set(&run->config, "parallel.micro_batch_tokens", number, &err))
        log_warn("run", "%s", err.what);
}
