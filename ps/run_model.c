/* run_model - what the server holds of the model: its description, the slot table, the first values. And the
 * labels of a run whose file and model do not name any: those that a worker found in the data. */
#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/model/base.h"
#include "ps/run_world.h"

#include <stdlib.h>

/* A head node need not hold the weights: then those of the workers are checked there. */
static bool check_base(const Run *run, Err *err)
{
    if (!safetensors_has_model(run->arch->folder)) {
        base_warn(run->arch, NULL);
        return true;
    }
    SafeTensors *files = safetensors_open_model(run->arch->folder, err);
    const bool ok = files && base_check(run->arch, files, err);
    if (ok)
        base_warn(run->arch, files);
    safetensors_close(files);
    return ok;
}

static bool open_values(Run *run, Err *err)
{
    const Config *c = &run->config;
    if (!check_base(run, err) || !store_init(&run->store, run->table, err) ||
        !slots_init(run->store.value, run->table, run->arch, &c->lora, c->train.seed, err))
        return false;
    run->initial = digest_fast(run->store.value, (size_t)run->table->size * sizeof(float));
    return true;
}

/* labels: whose labels and problem_type count. Where they are open, the size of the head is too: there are no
 * values yet. */
static bool open_model(Run *run, const Config *labels, Err *err)
{
    const Config *c = &run->config;
    char *folder = model_find(c->model, err);
    if (folder)
        run->arch = arch_open(folder, c->model_config, c->task, &labels->labels, labels->label_count,
                              labels->problem_type, err);
    free(folder);
    if (run->arch)
        run->table = slots_open(run->arch, &c->lora, err);
    return run->table && (run->arch->labels_open || open_values(run, err));
}

bool run_open_model(Run *run, Err *err)
{
    return open_model(run, &run->config, err);
}

static void close_model(Run *run)
{
    store_release(&run->store);
    slots_close(run->table);
    arch_close(run->arch);
    run->table = NULL;
    run->arch = NULL;
}

/* The model anew with these labels; as it was when that cannot be. */
static bool reopen_model(Run *run, const Config *labels, Err *err)
{
    ModelArch *arch = run->arch;
    SlotTable *table = run->table;
    run->arch = NULL;
    run->table = NULL;
    if (!open_model(run, labels, err)) {
        close_model(run);
        run->arch = arch;
        run->table = table;
        return false;
    }
    slots_close(table);
    arch_close(arch);
    return true;
}

bool run_reopen_model(Run *run, Err *err)
{
    if (!run->arch->labels_open)
        return true;
    if (!reopen_model(run, &run->config, err) || !run->arch->labels_open)
        return err->kind == ERR_NONE;
    err_set(err, ERR_INPUT, "the run.yaml in this folder does not say the labels that its run began with");
    err_hint(err, "put run.yaml back as it was, choose another train.output_dir, or start anew with --overwrite");
    return err_at(err, "%s", run->folder);
}

bool run_wants_labels(const Run *run)
{
    return run->arch->labels_open;
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
             run->arch->problem == PROBLEM_MULTI_LABEL ? " (several a row)" : "");
    text_release(&list);
}

bool run_take_labels(Run *run, const char *text, Err *err)
{
    Config theirs = { 0 };
    const ConfigSources sources = { .file = "the worker's run file", .text = text };
    const bool ok = config_load(&theirs, &sources, err) && check_labels(run, &theirs, err) &&
                    reopen_model(run, &theirs, err) && config_take_labels(&run->config, &theirs, err) &&
                    run_write_text(run, err) && run_start_log(run, err);
    config_release(&theirs);
    if (ok)
        tell_labels(run);
    return ok;
}
