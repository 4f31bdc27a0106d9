#include "ps/history.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/plan/steps.h"
#include "ps/tensorboard.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double history_epoch(const Run *run)
{
    return steps_epoch(run->state.version, run->per_epoch);
}

double history_mean_loss(const Run *run)
{
    const int64_t applied = run->state.version - run->state.skipped;
    return applied > 0 ? run->state.loss_total / (double)applied : 0;
}

double history_train_seconds(const Run *run)
{
    double seconds = run->state.seconds;
    for (size_t i = 0; i < json_array_size(run->state.history); i++)
        seconds -= json_number_value(json_object_get(json_array_get(run->state.history, i), "eval_runtime"));
    return seconds > 0 ? seconds : 0;
}

const json_t *history_last_with(const Run *run, const char *key)
{
    for (size_t i = json_array_size(run->state.history); i-- > 0;) {
        const json_t *entry = json_array_get(run->state.history, i);
        if (json_object_get(entry, key))
            return entry;
    }
    return NULL;
}

/* A line is whole or not there; what a full disk swallows is said once, and counted. */
static void append_metrics(Run *run, const char *line)
{
    char *path = path_join(run->folder, "metrics.jsonl");
    const int64_t before = file_size(path);
    FILE *file = fopen(path, "a");
    bool ok = file && fprintf(file, "%s\n", line) > 0;
    ok = (!file || fclose(file) == 0) && ok;
    if (!ok && run->missing_lines++ == 0)
        log_warn("save", "lines of metrics.jsonl are missing from here: %s", strerror(errno));
    if (!ok && before >= 0 && truncate(path, (off_t)before) != 0)
        log_warn("save", "half a line stays path=%s", path);
    if (ok && run->missing_lines > 0) {
        log_info("save", "metrics.jsonl goes on, missing lines=%lld", (long long)run->missing_lines);
        run->missing_lines = 0;
    }
    free(path);
}

/* Of the older half every second line of a step goes, where there are very many; lines of evaluations stay. */
static void thin(json_t *history)
{
    const size_t size = json_array_size(history);
    if (size < HISTORY_LINES || size % (HISTORY_LINES / 4) != 0)
        return;
    json_t *kept = json_array();
    bool keeps = true; /* the older of a pair */
    for (size_t i = 0; i < size; i++) {
        json_t *entry = json_array_get(history, i);
        const bool step = i < size / 2 && json_object_get(entry, "loss") && !json_object_get(entry, "eval_loss");
        if (!step || keeps)
            json_array_append(kept, entry);
        keeps = step ? !keeps : keeps;
    }
    json_array_clear(history);
    json_array_extend(history, kept);
    json_decref(kept);
}

void history_add(Run *run, json_t *entry, const char *extra, double value)
{
    json_array_append(run->state.history, entry);
    thin(run->state.history);
    json_t *line = json_copy(entry);
    if (extra)
        json_object_set_new(line, extra, isfinite(value) ? json_real(value) : json_null());
    char *text = json_dumps(line, JSON_COMPACT);
    append_metrics(run, text);
    tensorboard_add(run, line);
    free(text);
    json_decref(line);
    json_decref(entry);
}

/* Lines up to the state's step, and evaluations up to its last one, stay; replaying adds the rest.
 */
static bool stays(const Run *run, const char *line, size_t size)
{
    json_t *entry = json_loadb(line, size, 0, NULL);
    const json_t *step = json_object_get(entry, "step");
    const int64_t newest = json_object_get(entry, "eval_loss") ? run->state.evaluated : run->state.version;
    const bool ok = json_is_integer(step) && json_integer_value(step) <= newest;
    json_decref(entry);
    return ok;
}

bool history_cut(const Run *run, Err *err)
{
    char *path = path_join(run->folder, "metrics.jsonl");
    size_t size = 0;
    char *old = file_exists(path) ? file_read(path, &size, err) : xstrdup("");
    bool ok = old != NULL;
    Text kept = { 0 };
    for (char *at = old; ok && *at;) {
        char *end = strchr(at, '\n');
        if (!end)
            break;
        if (stays(run, at, (size_t)(end - at)))
            text_add(&kept, at, (size_t)(end + 1 - at));
        at = end + 1;
    }
    ok = ok && file_write(path, kept.data ? kept.data : "", kept.size, err);
    text_release(&kept);
    free(old);
    free(path);
    return ok;
}
