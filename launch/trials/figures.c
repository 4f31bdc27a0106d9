#include "launch/trials/figures.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool figures_lines(json_t **lines, const char *folder, Err *err)
{
    char *path = path_join(folder, "metrics.jsonl"), *text = NULL;
    *lines = json_array();
    if (file_exists(path)) {
        text = file_read(path, NULL, err);
    } else {
        err_set(err, ERR_INPUT, "there is no run in this folder: it has no metrics.jsonl");
        err_at(err, "%s", folder);
    }
    for (char *at = text; at && *at;) {
        const size_t n = strcspn(at, "\n");
        json_t *line = at[n] == '\n' ? json_loadb(at, n, 0, NULL) : NULL;
        if (json_is_object(line))
            json_array_append(*lines, line);
        json_decref(line);
        at += n + (at[n] == '\n');
    }
    const bool ok = text != NULL;
    free(text);
    free(path);
    return ok;
}

static bool has(const json_t *lines, const char *key)
{
    for (size_t i = 0; i < json_array_size(lines); i++)
        if (json_is_number(json_object_get(json_array_get(lines, i), key)))
            return true;
    return false;
}

char *figures_metric(json_t *const *lists, int count, const char *name, Err *err)
{
    static const char *const usual[] = { "accuracy", "f1", "pearson", "mse", "bleu", "perplexity" };
    for (size_t m = 0; m < (name ? 1 : LENGTH(usual)); m++) {
        const char *want = name ? name : usual[m];
        char *key = text_starts(want, "eval_") ? xstrdup(want) : xprintf("eval_%s", want);
        for (int i = 0; i < count; i++)
            if (has(lists[i], key))
                return key;
        free(key);
    }
    if (name)
        err_set(err, ERR_INPUT, "no evaluation of these runs has '%s'", name);
    return NULL;
}

int64_t figures_evaluations(const json_t *lines)
{
    int64_t n = 0;
    for (size_t i = 0; i < json_array_size(lines); i++)
        n += json_object_get(json_array_get(lines, i), "eval_loss") != NULL;
    return n;
}

BestFigure figures_best(const json_t *lines, const char *key, int64_t most)
{
    BestFigure best = { 0 };
    const bool less = config_less_is_better(key);
    for (size_t i = 0; i < json_array_size(lines) && (most == 0 || best.evaluations < most); i++) {
        const json_t *line = json_array_get(lines, i), *figure = json_object_get(line, key);
        if (!json_object_get(line, "eval_loss"))
            continue;
        best.evaluations++;
        const double value = json_number_value(figure);
        if (!json_is_number(figure) || !isfinite(value) ||
            (best.there && (less ? value >= best.value : value <= best.value)))
            continue;
        best.there = true;
        best.value = value;
        best.step = json_integer_value(json_object_get(line, "step"));
    }
    return best;
}

json_t *figures_summary(const char *folder)
{
    Err none = { 0 };
    char *path = path_join(folder, "summary.json"), *log = path_join(folder, "wal");
    json_t *summary = file_exists(path) && !file_is_folder(log) ? json_file(path, &none) : NULL;
    free(path);
    free(log);
    return summary;
}

int64_t figures_disk(const char *folder)
{
    Err none = { 0 };
    size_t count = 0;
    char **names = folder_list(folder, &count, &none);
    int64_t bytes = 0;
    for (size_t i = 0; names && i < count; i++) {
        char *path = path_join(folder, names[i]);
        if (text_ends(names[i], ".safetensors"))
            bytes += file_size(path);
        free(path);
        free(names[i]);
    }
    free(names);
    return bytes;
}
