#include "common/config/run_folder.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool is_checkpoint(const char *folder)
{
    char *path = path_absolute(folder); /* "." may be one */
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        path[--size] = '\0';
    const bool yes = text_starts(path_name(path), "checkpoint-");
    free(path);
    return yes;
}

char *run_folder_file(const char *folder)
{
    static const char *const names[] = { "run.yaml", "../run.yaml" };
    for (int i = 0; i < (is_checkpoint(folder) ? 2 : 1); i++) {
        char *path = path_join(folder, names[i]);
        if (file_exists(path))
            return path;
        free(path);
    }
    return NULL;
}

/* labels.json beside the adapter; anything but a list of names is somebody else's. */
static void read_names(StringList *names, const char *adapter)
{
    Err none = { 0 };
    char *path = path_join(adapter, "labels.json");
    json_t *list = file_exists(path) ? json_file(path, &none) : NULL;
    const size_t count = json_array_size(list);
    bool ok = count > 0;
    for (size_t i = 0; ok && i < count; i++)
        ok = json_is_string(json_array_get(list, i));
    if (ok) {
        names->items = xcalloc(count, sizeof *names->items);
        for (; (size_t)names->count < count; names->count++)
            names->items[names->count] = xstrdup(json_string_value(json_array_get(list, (size_t)names->count)));
    }
    json_decref(list);
    free(path);
}

static int find_name(const StringList *names, const char *name)
{
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return i;
    return -1;
}

/* The adapter's head gives its outputs these names: one that the run file has too is the same output's. Other names
 * may be new ones for the same outputs. */
static bool check_order(const Config *config, const StringList *theirs, Err *err)
{
    char room[512];
    const StringList *ours = &config->labels;
    for (int i = 0; i < ours->count && i < theirs->count; i++) {
        const int at = strcmp(ours->items[i], theirs->items[i]) == 0 ? i : find_name(theirs, ours->items[i]);
        if (at < 0 || at == i)
            continue;
        err_set(err, ERR_INPUT, "the adapter's labels stand in another order: '%s' is number %d here, %d there",
                ours->items[i], i, at);
        err_hint(err, "leave `labels` out: the adapter says them itself");
        return err_at(err, "%s", config_where(config, "labels", room, sizeof room));
    }
    return true;
}

bool run_folder_labels(Config *config, const char *adapter, Err *err)
{
    char *path = run_folder_file(adapter);
    Config run = { 0 }, beside = { 0 };
    bool ok = !path || config_load(&run, &(ConfigSources){ .file = path }, err);
    const bool unsaid = run.labels.count == 0 && run.label_count == 0;
    if (ok && unsaid)
        read_names(&beside.labels, adapter);
    ok = ok && check_order(config, unsaid ? &beside.labels : &run.labels, err) &&
         config_take_labels(config, path ? &run : &beside, err);
    config_release(&beside);
    config_release(&run);
    free(path);
    return ok;
}

/* Number of the newest checkpoint in the folder; -1: none. */
static long long newest_checkpoint(const char *folder)
{
    Err none = { 0 };
    size_t count = 0;
    char **names = folder_list(folder, &count, &none);
    long long newest = -1;
    for (size_t i = 0; names && i < count; i++) {
        char *rest = names[i];
        const long long step = text_starts(names[i], "checkpoint-") ? strtoll(names[i] + 11, &rest, 10) : -1;
        newest = *rest == '\0' && step > newest ? step : newest;
        free(names[i]);
    }
    free(names);
    return newest;
}

static bool holds(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    const bool is = file_exists(path);
    free(path);
    return is;
}

bool run_folder_is_model(const char *folder)
{
    return holds(folder, "config.json") && !holds(folder, "adapter_config.json") &&
           (holds(folder, "model.safetensors") || holds(folder, "model.safetensors.index.json"));
}

bool run_folder_check(const char *adapter, Err *err)
{
    const bool ok = holds(adapter, "adapter_config.json"), begun = holds(adapter, "run.yaml");
    const long long newest = ok ? -1 : newest_checkpoint(adapter);
    if (!ok && !file_is_folder(adapter)) {
        file_missing(adapter, "folder",
                     "an adapter is the folder that lora train (train.output_dir) or PEFT's save_pretrained wrote",
                     err);
    } else if (!ok && (begun || newest >= 0)) {
        err_set(err, ERR_INPUT, "the run in this folder has not come to its end, and has no adapter yet");
        if (newest >= 0)
            err_hint(err, "take its newest checkpoint, %s/checkpoint-%lld, or go on with it", adapter, newest);
        else
            err_hint(err, "the same lora train goes on with it");
    } else if (!ok) {
        err_set(err, ERR_INPUT, "there is no adapter in this folder: it has no adapter_config.json");
        err_hint(err, "name a folder that lora train (train.output_dir) or PEFT's save_pretrained wrote");
    }
    return ok || err_at(err, "%s", adapter);
}
