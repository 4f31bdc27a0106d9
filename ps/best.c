#include "ps/best.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/checkpoint.h"
#include "ps/checkpoint_files.h"

#include <stdlib.h>
#include <string.h>

typedef struct Ranked {
    double figure;
    int64_t step;
    bool less; /* is better */
} Ranked;

static bool is_better(const Run *run, double figure, double than)
{
    return config_less_is_better(run->config.train.metric_for_best_model) ? figure < than : figure > than;
}

static void find_stop(Run *run)
{
    const int64_t patience = run->config.train.early_stopping_patience;
    run->state.stop_early = patience > 0 && run->state.worse >= patience;
}

void best_rank(Run *run, double figure, int64_t step)
{
    RunState *s = &run->state;
    const bool better = s->best_step < 0 || is_better(run, figure, s->best);
    s->worse = better ? 0 : s->worse + 1;
    find_stop(run);
    if (better) {
        s->best = figure;
        s->best_step = step;
    }
}

static bool is_kept(const Run *run, int64_t step)
{
    char *path = checkpoint_path(run, step);
    const bool kept = step == run->state.version || file_is_folder(path);
    free(path);
    return kept;
}

/* Evaluations of the history that have the metric, in their order; owned by the caller. */
static Ranked *candidates(const Run *run, bool kept, size_t *count)
{
    const char *metric = run->config.train.metric_for_best_model;
    const json_t *history = run->state.history;
    char *key = text_starts(metric, "eval_") ? xstrdup(metric) : xprintf("eval_%s", metric);
    Ranked *list = xcalloc(json_array_size(history) + 1, sizeof *list);
    *count = 0;
    for (size_t i = 0; i < json_array_size(history); i++) {
        const json_t *entry = json_array_get(history, i), *figure = json_object_get(entry, key);
        const int64_t step = json_integer_value(json_object_get(entry, "step"));
        if (json_is_number(figure) && (!kept || is_kept(run, step)))
            list[(*count)++] = (Ranked){ json_number_value(figure), step, config_less_is_better(metric) };
    }
    free(key);
    return list;
}

/* The better ones first, of equal ones the earlier. */
static int by_figure(const void *a, const void *b)
{
    const Ranked *x = a, *y = b;
    if (x->figure != y->figure)
        return (x->figure < y->figure) == x->less ? -1 : 1;
    return (x->step > y->step) - (x->step < y->step);
}

/* Owned by the caller. */
static Ranked *kept_by_figure(const Run *run, size_t *count)
{
    Ranked *list = candidates(run, true, count);
    qsort(list, *count, sizeof *list, by_figure);
    return list;
}

/* Early stopping counts all evaluations; where the best will be loaded, it is the best of what is kept. */
static void rank_all(Run *run)
{
    RunState *s = &run->state;
    size_t count;
    Ranked *list = candidates(run, false, &count);
    s->best_step = -1;
    s->worse = 0;
    for (size_t i = 0; i < count; i++)
        best_rank(run, list[i].figure, list[i].step);
    free(list);
    if (!run->config.train.load_best_model_at_end)
        return;
    list = kept_by_figure(run, &count);
    s->best = count > 0 ? list[0].figure : 0;
    s->best_step = count > 0 ? list[0].step : -1;
    free(list);
}

void best_rank_again(Run *run)
{
    if (run->rank_again)
        rank_all(run);
    run->rank_again = false;
    find_stop(run);
}

bool best_is_due(const Run *run)
{
    const RunState *s = &run->state;
    return run->config.train.load_best_model_at_end && s->best_step == s->version && run->saved != s->version;
}

void best_load(Run *run)
{
    RunState *s = &run->state;
    if (!run->config.train.load_best_model_at_end)
        return;
    size_t count;
    Ranked *list = kept_by_figure(run, &count);
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        Err bad = { 0 };
        found = list[i].step == s->version || checkpoint_load_values(run, list[i].step, &bad);
        if (!found)
            log_warn("save", "the checkpoint of a good evaluation is of no use, the next best is taken: %s step=%lld",
                     bad.what, (long long)list[i].step);
        else if (list[i].step != s->best_step)
            log_warn(
                "save",
                "the best evaluation's checkpoint is not there: the best that is kept is taken step=%lld instead of %lld",
                (long long)list[i].step, (long long)s->best_step);
        s->best = found ? list[i].figure : s->best;
        s->best_step = found ? list[i].step : s->best_step;
    }
    if (!found && s->best_step >= 0)
        log_warn("save", "no evaluated values are kept: the last ones are taken");
    free(list);
}
