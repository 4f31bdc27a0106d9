#include "launch/merged_model.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/run_facts.h"
#include "common/config/run_folder.h"
#include "common/model/base.h"
#include "common/model/task.h"
#include "launch/adapter_run.h"
#include "launch/trained_base.h"

#include <math.h>
#include <stdlib.h>

static bool check_folder(const MergedOptions *o, Err *err)
{
    if (o->whole || !run_folder_is_model(o->adapter))
        return adapter_run_check(o->adapter, err);
    err_set(err, ERR_INPUT, "this is a whole model, not an adapter: there is nothing to merge");
    err_hint(err, "use it as it is");
    return err_at(err, "%s", o->adapter);
}

static bool open_base(MergedModel *m, const MergedOptions *o, const char *name, Err *err)
{
    const Config *c = &m->config;
    const bool whole = run_folder_is_model(o->adapter);
    AdaptedOptions adapted = adapted_of(c);
    adapted.model = name;
    adapted.lora = whole ? NULL : &m->lora;
    adapted.lora_from = o->adapter;
    if (!whole && c->labels.count == 0 && c->label_count == 0 && !task_get(c->task)->speaks &&
        !task_get(c->task)->embeds) {
        adapted.label_count = adapter_run_outputs(o->adapter, err);
        if (err->kind != ERR_NONE)
            return false;
    }
    if (!adapted_open(&m->adapted, &adapted, err) || !adapted_open_files(&m->adapted, err) ||
        !base_check(m->adapted.arch, m->adapted.files, err) ||
        !(whole || o->other_base || trained_base_check(&m->adapted, o->adapter, err)))
        return false;
    base_warn(m->adapted.arch, m->adapted.files);
    return true;
}

static bool read_values(MergedModel *m, const char *adapter, Err *err)
{
    const SlotTable *table = m->adapted.table;
    if (!merged_check(&m->lora, table, err))
        return err_at(err, "%s", adapter);
    char *exchanged = run_facts_exchanged(adapter);
    if (exchanged)
        log_warn("adapter", "%s", exchanged);
    free(exchanged);
    m->values = mem_alloc((size_t)table->size * sizeof *m->values, err);
    return m->values && slots_read_adapter(m->values, table, adapter, err);
}

/* The base of an adapter; a whole model is its own. Owned. */
static char *base_of(MergedModel *m, const MergedOptions *o, Err *err)
{
    if (run_folder_is_model(o->adapter))
        return xstrdup(o->adapter);
    if (!lora_config_read(&m->lora, o->adapter, err))
        return NULL;
    return o->model ? xstrdup(o->model) : adapter_run_base(o->adapter, err);
}

bool merged_model_open(MergedModel *m, const MergedOptions *o, Err *err)
{
    *m = (MergedModel){ 0 };
    if (!check_folder(o, err) || !adapter_run_load(&m->config, o->adapter, o->given, err))
        return false;
    char *name = base_of(m, o, err);
    const bool ok = name && open_base(m, o, name, err) && (!m->adapted.table || read_values(m, o->adapter, err));
    free(name);
    if (!ok)
        return false;
    const SlotTable *table = m->adapted.table;
    saved_open(&m->saved, m->adapted.arch, m->adapted.files, o->dtype, table && merged_unties(table));
    return merged_init(&m->merged, table, m->values, &m->saved, err);
}

void merged_model_release(MergedModel *m)
{
    merged_release(&m->merged);
    saved_release(&m->saved);
    free(m->values);
    adapted_release(&m->adapted);
    lora_config_release(&m->lora);
    config_release(&m->config);
    *m = (MergedModel){ 0 };
}

void merged_model_tell(const MergedModel *m, Text *out)
{
    const MergeReport *r = &m->merged.report;
    if (r->adapted > 0)
        text_addf(out, "merged %d adapted module%s: the largest |dW|/|W| is %.3g, of %s\n", r->adapted,
                  r->adapted == 1 ? "" : "s", r->largest, r->largest_path);
    if (r->replaced > 0)
        text_addf(out, "replaced %d tensor%s that %s trained whole\n", r->replaced, r->replaced == 1 ? "" : "s",
                  r->replaced == 1 ? "was" : "were");
    if (m->saved.untied)
        text_adds(out, "the output words are no longer tied to the word table: both are written\n");
    const double lost = r->delta > 0 ? sqrt(r->lost / r->delta) : 0;
    if (lost > 0)
        text_addf(out, "rounding takes away %.2g%% of the adapter\n", 100 * lost);
    if (lost > 0.1)
        log_warn("merge", "rounding takes away %.2g%% of what the adapter adds: --dtype=f32 keeps all of it",
                 100 * lost);
}
