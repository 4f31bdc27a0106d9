#include "launch/named_adapter.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "common/slots/inits.h"
#include "launch/adapter_run.h"
#include "launch/trained_base.h"

#include <stdlib.h>
#include <string.h>

bool named_adapter_split(const char *given, char **name, char **folder, Err *err)
{
    const char *at = strchr(given, '=');
    if (!at || at == given || !at[1]) {
        err_set(err, ERR_INPUT, "'%s' is not NAME=DIR", given);
        return err_hint(err, "--adapter=mine=runs/mine");
    }
    if (strncmp(given, ADAPTER_BASE "=", sizeof ADAPTER_BASE) == 0)
        return err_set(err, ERR_INPUT, "no adapter can be called '%s': that is the base by itself", ADAPTER_BASE);
    *name = xstrndup(given, (size_t)(at - given));
    *folder = xstrdup(at + 1);
    return true;
}

int named_adapter_find(const char *const *names, int count, const char *given, size_t n, Err *err)
{
    Text there = { 0 };
    int sampled = 0;
    for (int i = 0; i < count; i++) {
        if (given && strlen(names[i]) == n && memcmp(names[i], given, n) == 0) {
            text_release(&there);
            return i;
        }
        text_sample(&there, &sampled, names[i]);
    }
    if (given)
        err_set(err, ERR_INPUT, "'%.*s' is the name of no adapter", (int)n, given);
    else
        err_set(err, ERR_INPUT, "the row does not say which adapter answers: it has no '" ADAPTER_FIELD "'");
    err_hint(err, "there are: %s", text_sampled(&there, sampled));
    text_release(&there);
    return -1;
}

/* The labels are the adapter's own, as its run or its head has them. */
static bool describe(NamedAdapter *a, const Session *s, const SessionOptions *o, Err *err)
{
    Config run = { 0 };
    const Arguments nothing = { 0 };
    bool ok = adapter_run_load(&run, a->folder, &nothing, err);
    if (ok && run.task != o->task)
        ok = err_set(err, ERR_INPUT, "the adapter is for %s, and the others are for %s", config_task_name(run.task),
                     config_task_name(o->task));
    AdaptedOptions adapted = { .model = s->base.adapted.arch->folder,
                               .model_config = o->model_config,
                               .task = o->task,
                               .labels = &run.labels,
                               .label_count = run.label_count,
                               .problem = run.problem_type,
                               .embed = adapted_embed(&run),
                               .lora = &a->lora,
                               .lora_from = a->folder };
    if (ok && run.labels.count == 0 && run.label_count == 0 && !task_get(o->task)->speaks &&
        !task_get(o->task)->embeds) {
        adapted.label_count = adapter_run_outputs(a->folder, err);
        ok = err->kind == ERR_NONE;
    }
    ok = ok && lora_config_read(&a->lora, a->folder, err);
    if (ok && inits_shift(&a->lora)) {
        err_set(err, ERR_INPUT, "the adapter began with a part of its base's weights: it shares them with no other");
        ok = err_hint(err, "give it alone, or merge it: lora merge --adapter=%s OUT", a->folder);
    }
    ok = ok && adapted_open(&a->adapted, &adapted, err) && adapted_open_files(&a->adapted, err) &&
         (o->other_base || trained_base_check(&a->adapted, a->folder, err));
    adapted_close_files(&a->adapted);
    config_release(&run);
    return ok;
}

static bool read_values(NamedAdapter *a, Err *err)
{
    const SlotTable *table = a->adapted.table;
    const size_t bytes = (size_t)table->size * sizeof(float);
    a->values = mem_alloc(bytes, err);
    if (!a->values)
        return false;
    memset(a->values, 0, bytes);
    return slots_read_adapter(a->values, table, a->folder, err);
}

NamedAdapter *named_adapter_open(const Session *s, const SessionOptions *o, const char *name, const char *folder,
                                 Err *err)
{
    NamedAdapter *a = xcalloc(1, sizeof *a);
    a->name = xstrdup(name);
    a->folder = folder ? xstrdup(folder) : NULL;
    const bool ok = !folder || (adapter_run_check(folder, err) && describe(a, s, o, err) && read_values(a, err));
    const AdapterOptions options = { a->adapted.arch, a->adapted.table, a->values };
    a->adapter = ok ? adapter_open(s->model, &options, err) : NULL;
    if (a->adapter)
        return a;
    err_at(err, "%s", folder ? folder : name);
    named_adapter_close(a);
    return NULL;
}

void named_adapter_close(NamedAdapter *a)
{
    if (!a)
        return;
    adapter_close(a->adapter);
    adapted_release(&a->adapted);
    lora_config_release(&a->lora);
    free(a->values);
    free(a->name);
    free(a->folder);
    free(a);
}
