#include "ps/run_model.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/model/base.h"
#include "common/slots/init_adapter.h"

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
    if (!check_base(run, err) || !store_init(&run->store, run->table, err))
        return false;
    if (!slots_init(run->store.value, run->table, run->arch, &c->lora, c->train.seed, err)) {
        init_adapter_hint(c, err);
        return false;
    }
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

bool run_model_open(Run *run, Err *err)
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

bool run_model_renew(Run *run, const Config *labels, Err *err)
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

bool run_model_reopen(Run *run, Err *err)
{
    if (!run->arch->labels_open)
        return true;
    if (!run_model_renew(run, &run->config, err) || !run->arch->labels_open)
        return err->kind == ERR_NONE;
    err_set(err, ERR_INPUT, "the run.yaml in this folder does not say the labels that its run began with");
    err_hint(err, "put run.yaml back as it was, choose another train.output_dir, or start anew with --overwrite");
    return err_at(err, "%s", run->folder);
}
