#include "common/config/run_folder.h"

#include "common/base/file.h"

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

bool run_folder_labels(Config *config, const char *adapter, Err *err)
{
    char *path = run_folder_file(adapter);
    Config run = { 0 };
    const bool ok =
        !path || (config_load(&run, &(ConfigSources){ .file = path }, err) && config_take_labels(config, &run, err));
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

bool run_folder_check(const char *adapter, Err *err)
{
    char *config = path_join(adapter, "adapter_config.json"), *run = path_join(adapter, "run.yaml");
    const bool ok = file_exists(config), begun = file_exists(run);
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
    free(run);
    free(config);
    return ok || err_at(err, "%s", adapter);
}
