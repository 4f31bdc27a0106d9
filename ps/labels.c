#include "ps/labels.h"

#include "common/base/log.h"
#include "ps/journal.h"
#include "ps/run_model.h"
#include "ps/save.h"

bool labels_wanted(const Run *run)
{
    return run->adapted.arch->head.labels_open;
}

/* Is this a run file of ours that names labels? */
static bool check_labels(const Run *run, const Config *theirs, Err *err)
{
    Text keys = { 0 };
    bool ok = config_same_run(&run->config, theirs, COMPARE_WORKER, &keys);
    if (!ok)
        err_set(err, ERR_REFUSED, "another configuration: %s", keys.data);
    else if (theirs->label_count == 0)
        ok = err_set(err, ERR_REFUSED, "the worker does not say which labels its data have");
    text_release(&keys);
    return ok;
}

static void tell_labels(const Run *run)
{
    enum { MOST = 20 };
    const StringList *names = &run->config.labels;
    Text list = { 0 };
    for (int i = 0; i < names->count && i < MOST; i++)
        text_addf(&list, "%s%s", i ? ", " : ": ", names->items[i]);
    log_info("run", "%lld labels found in the data%.200s%s%s", (long long)run->config.label_count,
             list.data ? list.data : "", names->count > MOST || list.size > 200 ? " ..." : "",
             run->adapted.arch->head.problem == PROBLEM_MULTI_LABEL ? " (several a row)" : "");
    text_release(&list);
}

bool labels_take(Run *run, const char *text, Err *err)
{
    Config theirs = { 0 };
    const ConfigSources sources = { .file = "the worker's run file", .text = text };
    const bool ok = config_load(&theirs, &sources, err) && check_labels(run, &theirs, err) &&
                    run_model_renew(run, &theirs, err) && config_take_labels(&run->config, &theirs, err) &&
                    save_settings(run, err) && journal_start(run, err);
    config_release(&theirs);
    if (ok)
        tell_labels(run);
    return ok;
}
