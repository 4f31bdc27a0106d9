#include "launch/trials/halving.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/config.h"
#include "launch/trials/figures.h"

#include <stdlib.h>

typedef struct Standing {
    int trial;
    bool there, less;
    double value;
} Standing;

/* The better first, of equal ones the first trial; those without a figure last. */
static int by_value(const void *a, const void *b)
{
    const Standing *x = a, *y = b;
    if (x->there != y->there)
        return x->there ? -1 : 1;
    if (x->there && x->value != y->value)
        return (x->value < y->value) == x->less ? -1 : 1;
    return x->trial - y->trial;
}

/* Of alive[0, count), best first, by the evaluations up to the rung. False with *err: none has the metric. */
static bool rank(const Halving *h, const TrialList *trials, int64_t rung, int *alive, int count, Err *err)
{
    json_t **lines = xcalloc((size_t)count, sizeof *lines);
    Standing *table = xcalloc((size_t)count, sizeof *table);
    for (int i = 0; i < count; i++) {
        Err none = { 0 };
        if (!figures_lines(&lines[i], trials->items[alive[i]].folder, &none))
            continue; /* it came to nothing: it has no figure */
    }
    char *key = figures_metric(lines, count, h->metric, err);
    const char *by = key ? key : "eval_loss";
    for (int i = 0; i < count; i++) {
        const BestFigure best = figures_best(lines[i], by, rung);
        const bool failed = trials->items[alive[i]].state == TRIAL_FAILED && best.evaluations < rung;
        table[i] = (Standing){ alive[i], best.there && !failed, config_less_is_better(by), best.value };
        json_decref(lines[i]);
    }
    qsort(table, (size_t)count, sizeof *table, by_value);
    for (int i = 0; i < count; i++)
        alive[i] = table[i].trial;
    free(key);
    free(table);
    free(lines);
    return err->kind == ERR_NONE;
}

/* alive[0, count) run until they have been evaluated `rung` times. */
static bool climb(const Halving *h, TrialList *trials, const RunnerOptions *options, int64_t rung, const int *alive,
                  int count, Err *err)
{
    for (int i = 0; i < count; i++) {
        Trial *trial = &trials->items[alive[i]];
        trial->halt = rung;
        h->looked[alive[i]] = rung;
        if (trial->state == TRIAL_HALTED)
            trial->state = TRIAL_WAITING;
    }
    return runner_run(trials, options, err);
}

bool halving_run(const Halving *h, TrialList *trials, const RunnerOptions *options, Err *err)
{
    int count = trials->count, *alive = xcalloc((size_t)count, sizeof *alive);
    for (int i = 0; i < count; i++)
        alive[i] = i;
    int64_t rung = h->first;
    bool ok = true;
    while (ok && count > 0) {
        ok = climb(h, trials, options, count > 1 ? rung : 0, alive, count, err);
        if (!ok || count == 1)
            break;
        ok = rank(h, trials, rung, alive, count, err);
        const int next = (int)((count + h->keep - 1) / h->keep);
        log_info("halving", "behind %lld evaluations %d of %d trials go on", (long long)rung, next, count);
        count = next;
        rung *= h->keep;
    }
    for (int i = 0; ok && i < count; i++)
        h->looked[alive[i]] = 0; /* all of them */
    free(alive);
    return ok;
}
