#include "worker/train/find_labels.h"

#include "common/base/text.h"
#include "common/slots/adapted.h"
#include "worker/data/label_search.h"
#include "worker/train/settings.h"

/* Of the names as they are written in a run file, beside which there must be room for all the rest of it. */
enum { MOST_LABELS = 65536, MOST_BYTES = 900 << 10 };

static bool are_wanted(const Config *c, bool *wanted, Err *err)
{
    AdaptedOptions o = adapted_of(c);
    Adapted adapted;
    o.lora = NULL;
    const bool ok = adapted_open(&adapted, &o, err);
    *wanted = ok && adapted.arch->head.labels_open;
    adapted_release(&adapted);
    return ok;
}

static bool do_fit(const Config *c, const LabelsFound *found, const Text *list, Err *err)
{
    if (found->count <= MOST_LABELS && list->size <= MOST_BYTES)
        return true;
    err_set(err, ERR_INPUT, "%lld different labels of %zu bytes: at most %d of %d bytes are a run's",
            (long long)found->count, list->size, MOST_LABELS, MOST_BYTES);
    err_hint(err, "is data.label the right column? Values to learn are problem_type: regression");
    return err_at(err, "%s", c->data.train.items[0]);
}

static bool take(Config *c, const LabelsFound *found, Err *err)
{
    Text list = { 0 };
    for (int i = 0; i < found->names.count; i++) {
        text_adds(&list, i ? ", " : "[");
        config_print_text(found->names.items[i], &list);
    }
    if (found->names.count == 0)
        text_addf(&list, "%lld", (long long)found->count);
    else
        text_adds(&list, "]");
    const bool ok =
        do_fit(c, found, &list, err) && config_set(c, "labels", list.data, err) &&
        (found->problem != PROBLEM_MULTI_LABEL || config_set(c, "problem_type", "multi_label_classification", err));
    text_release(&list);
    return ok;
}

bool find_labels(Config *c, bool *found, Err *err)
{
    bool wanted;
    *found = false;
    if (!are_wanted(c, &wanted, err) || !wanted)
        return err->kind == ERR_NONE;
    const DatasetOptions o = settings_data(c, &c->data.train);
    LabelsFound labels;
    bool ok = label_search(&labels, &o, c->problem_type, err);
    if (ok && labels.count > 0) {
        ok = take(c, &labels, err);
        *found = ok;
    }
    labels_found_release(&labels);
    return ok;
}
