#include "common/base/mem.h"
#include "common/config/options.h"
#include "launch/predict.h"

#include <stdlib.h>
#include <string.h>

NamedAdapter *predict_adapter(const PredictInput *input, const Record *r, Err *err)
{
    const char *names[OPTION_MOST + 1];
    if (!r) {
        err_set(err, ERR_INPUT, "lines do not say which of several adapters answers");
        err_hint(err, "give a .jsonl, .json, .csv or .tsv file, whose rows have a field '" ADAPTER_FIELD "'");
        return NULL;
    }
    for (int i = 0; i < input->named_count; i++)
        names[i] = input->named[i]->name;
    const int at = named_adapter_find(names, input->named_count, r->label, r->label_size, err);
    return at < 0 ? NULL : input->named[at];
}

/* The examples in the order of their adapters; order[B]. */
static void sort(int64_t *order, NamedAdapter *const *named, int64_t B)
{
    int64_t count = 0;
    bool *taken = xcalloc((size_t)B, sizeof *taken);
    for (int64_t first = 0; first < B; first++)
        for (int64_t b = first; b < B && !taken[first]; b++)
            if (!taken[b] && named[b] == named[first] && b != first) {
                taken[b] = true;
                order[count++] = b;
            } else if (b == first) {
                order[count++] = b;
            }
    free(taken);
    REQUIRE(count == B);
}

bool predict_mixed(Session *s, const Batch *batch, NamedAdapter *const *named, float *logits, Err *err)
{
    const int64_t B = batch->B;
    int64_t *order = xcalloc((size_t)B, sizeof *order), *start = xcalloc((size_t)B + 1, sizeof *start);
    int64_t *at = xcalloc((size_t)B + 1, sizeof *at);
    int32_t *ids = xcalloc((size_t)batch->N + 1, sizeof *ids), *types = xcalloc((size_t)batch->N + 1, sizeof *types);
    Adapter **adapter = xcalloc((size_t)B, sizeof(Adapter *));
    sort(order, named, B);
    for (int64_t i = 0; i < B; i++) {
        const int64_t b = order[i], n = batch->start[b + 1] - batch->start[b];
        memcpy(ids + start[i], batch->ids + batch->start[b], (size_t)n * sizeof *ids);
        if (batch->types)
            memcpy(types + start[i], batch->types + batch->start[b], (size_t)n * sizeof *types);
        start[i + 1] = start[i] + n;
        adapter[i] = named[b]->adapter;
        at[b + 1] = adapter_arch(adapter[i])->head.labels;
    }
    for (int64_t b = 0; b < B; b++) /* where each example's logits go */
        at[b + 1] += at[b];
    float *sorted = xcalloc((size_t)at[B] + 1, sizeof *sorted);
    const Batch together = { .B = B,
                             .N = batch->N,
                             .start = start,
                             .ids = ids,
                             .types = batch->types ? types : NULL,
                             .example = batch->example };
    adapter_predict(s->model, &together, adapter, sorted);
    const float *from = sorted;
    for (int64_t i = 0; i < B; i++) {
        const int64_t labels = adapter_arch(adapter[i])->head.labels;
        memcpy(logits + at[order[i]], from, (size_t)labels * sizeof *logits);
        from += labels;
    }
    const bool ok = sample_check(logits, at[B], err);
    free(order);
    free(start);
    free(at);
    free(ids);
    free(types);
    free(adapter);
    free(sorted);
    return ok;
}
