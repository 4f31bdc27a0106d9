#include "ps/run_model.h"

#include "common/base/digest.h"
#include "common/model/base.h"
#include "common/slots/init_adapter.h"
#include "common/slots/inits.h"

/* A head node need not hold the weights: then those of the workers are checked there. */
static bool check_base(Adapted *adapted, Err *err)
{
    const bool here = safetensors_has_model(adapted->arch->folder);
    const bool ok = !here || (adapted_open_files(adapted, err) && base_check(adapted->arch, adapted->files, err));
    if (ok)
        base_warn(adapted->arch, adapted->files);
    adapted_close_files(adapted);
    return ok;
}

static bool open_values(Store *store, Adapted *adapted, const Config *c, Err *err)
{
    const bool shares = c->ps.shared_memory && c->ps.mode == PS_SYNC && adapted->table->size > WIRE_PIECE;
    if (!check_base(adapted, err) || !store_init(store, adapted->table, &c->lora, &c->train, shares, err))
        return false;
    if (!slots_init(store->value, adapted->table, adapted->arch, &c->lora, c->train.seed, err)) {
        init_adapter_hint(c, err);
        return false;
    }
    return !inits_shift(&c->lora) || store_keep_first(store, err);
}

/* labels: whose labels and problem_type count. Where they are open, the size of the head is too: there are no
 * values yet. */
static bool open_model(Run *run, const Config *labels, Err *err)
{
    AdaptedOptions o = adapted_of(&run->config);
    Adapted adapted;
    Store store = { 0 };
    o.labels = &labels->labels;
    o.label_count = labels->label_count;
    o.problem = labels->problem_type;
    if (!adapted_open(&adapted, &o, err))
        return false;
    if (!adapted.arch->head.labels_open && !open_values(&store, &adapted, &run->config, err)) {
        store_release(&store);
        adapted_release(&adapted);
        return false;
    }
    store_release(&run->store);
    adapted_release(&run->adapted);
    run->adapted = adapted;
    run->store = store;
    if (store.value)
        run->initial = digest_fast(store.value, (size_t)adapted.table->size * sizeof(float));
    return true;
}

bool run_model_open(Run *run, Err *err)
{
    return open_model(run, &run->config, err);
}

bool run_model_renew(Run *run, const Config *labels, Err *err)
{
    return open_model(run, labels, err);
}

bool run_model_reopen(Run *run, Err *err)
{
    if (!run->adapted.arch->head.labels_open)
        return true;
    if (!open_model(run, &run->config, err) || !run->adapted.arch->head.labels_open)
        return err->kind == ERR_NONE;
    err_set(err, ERR_INPUT, "the run.yaml in this folder does not say the labels that its run began with");
    err_hint(err, "put run.yaml back as it was, choose another train.output_dir, or start anew with --overwrite");
    return err_at(err, "%s", run->folder);
}
