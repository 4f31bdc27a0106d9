/* Hub names in the local cache, as huggingface_hub lays it out:
 *   HUB/models--OWNER--NAME/refs/main            the commit that "main" was
 *   HUB/models--OWNER--NAME/snapshots/COMMIT/    the files
 * Source: huggingface_hub, "Understand caching" (file_download.repo_folder_name). */
#include "common/model/arch.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool holds(const char *folder, const char *file)
{
    char *path = path_join(folder, file);
    const bool is = file_exists(path);
    free(path);
    return is;
}

static const char model_file[] = "config.json", adapter_file[] = "adapter_config.json";

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] != '\0' ? value : NULL;
}

/* The folder of all cached models. Owned. */
static char *hub_folder(void)
{
    const char *hub = setting("HF_HUB_CACHE"), *home = setting("HF_HOME");
    if (!hub)
        hub = setting("HUGGINGFACE_HUB_CACHE"); /* its older name */
    if (hub)
        return path_expand(hub);
    if (home) {
        char *folder = path_expand(home), *inside = path_join(folder, "hub");
        free(folder);
        return inside;
    }
    const char *cache = setting("XDG_CACHE_HOME"), *user = setting("HOME");
    if (cache)
        return path_join(cache, "huggingface/hub");
    return path_join(user ? user : "", ".cache/huggingface/hub");
}

/* "owner/name" -> HUB/models--owner--name. Owned. */
static char *cached_folder(const char *hub, const char *model)
{
    Text name = { 0 };
    text_adds(&name, "models--");
    for (const char *c = model; *c != '\0'; c++)
        text_adds(&name, *c == '/' ? "--" : (char[]){ *c, '\0' });
    char *folder = path_join(hub, name.data);
    text_release(&name);
    return folder;
}

/* The snapshot that refs/main names, when it is there and holds the file. Owned; NULL: none. */
static char *main_snapshot(const char *cached, const char *file)
{
    Err none = { 0 };
    char *path = path_join(cached, "refs/main");
    char *commit = file_exists(path) ? file_read(path, NULL, &none) : NULL;
    free(path);
    if (!commit)
        return NULL;
    commit[strcspn(commit, " \r\n")] = '\0';
    char *inside = xprintf("snapshots/%s", commit);
    char *folder = path_join(cached, inside);
    free(inside);
    free(commit);
    if (holds(folder, file))
        return folder;
    free(folder);
    return NULL;
}

/* The snapshot that was written last, of those that hold the file. Owned; NULL: none. */
static char *newest_snapshot(const char *cached, const char *file)
{
    Err none = { 0 };
    char *snapshots = path_join(cached, "snapshots"), *best = NULL;
    size_t count = 0;
    char **names = file_is_folder(snapshots) ? folder_list(snapshots, &count, &none) : NULL;
    struct timespec newest = { 0 };
    for (size_t i = 0; names && i < count; i++) {
        char *folder = path_join(snapshots, names[i]);
        struct stat info;
        const bool good = holds(folder, file) && stat(folder, &info) == 0;
        if (good && (!best || info.st_mtim.tv_sec > newest.tv_sec ||
                     (info.st_mtim.tv_sec == newest.tv_sec && info.st_mtim.tv_nsec > newest.tv_nsec))) {
            newest = info.st_mtim;
            free(best);
            best = folder;
        } else {
            free(folder);
        }
        free(names[i]);
    }
    free(names);
    free(snapshots);
    return best;
}

/* What a hub name may look like: "bert-base-uncased", "google/bert". */
static bool is_hub_name(const char *model)
{
    const char *slash = strchr(model, '/');
    return model[0] != '/' && model[0] != '.' && model[0] != '~' && model[0] != '\0' &&
           (!slash || (slash[1] != '\0' && !strchr(slash + 1, '/')));
}

static char *not_found(const char *model, const char *cached, Err *err)
{
    if (file_is_folder(model)) {
        err_set(err, ERR_INPUT, "the folder '%s' has no config.json", model);
        err_hint(err, "a model folder holds config.json, model.safetensors and tokenizer.json");
    } else if (cached) {
        err_set(err, ERR_INPUT, "no model '%s': it is no folder, and not in the cache as '%s'", model, cached);
        err_hint(err, "hf download %s, or give a model folder", model);
    } else {
        char *near = path_nearest(model);
        err_set(err, ERR_INPUT, "no model folder '%s'", model);
        if (near)
            err_hint(err, "did you mean '%s'?", near);
        free(near);
    }
    return NULL;
}

/* The snapshot of a cached name that holds the file. Owned; NULL: none. */
static char *snapshot(const char *cached, const char *file)
{
    char *folder = main_snapshot(cached, file);
    return folder ? folder : newest_snapshot(cached, file);
}

/* People name the adapter where its base is asked for. */
static char *is_adapter(const char *model, const char *folder, Err *err)
{
    Err none = { 0 };
    char *path = path_join(folder, adapter_file);
    json_t *config = json_file(path, &none);
    const char *base = json_get_string(config, "base_model_name_or_path", NULL, &none);
    err_set(err, ERR_INPUT, "'%s' is an adapter%s%s, not a model", model, base ? " of " : "", base ? base : "");
    err_hint(err, "give its base model as model%s%s; to start from the adapter, name it in lora.init_adapter",
             base ? ": " : "", base ? base : "");
    json_decref(config);
    free(path);
    return NULL;
}

/* A name that is no folder. */
static char *find_cached(const char *model, Err *err)
{
    char *hub = hub_folder(), *cached = cached_folder(hub, model);
    char *folder = snapshot(cached, model_file), *adapter = folder ? NULL : snapshot(cached, adapter_file);
    if (adapter)
        is_adapter(model, adapter, err);
    else if (!folder)
        not_found(model, cached, err);
    free(adapter);
    free(hub);
    free(cached);
    return folder;
}

char *model_find(const char *model, Err *err)
{
    if (holds(model, model_file))
        return path_absolute(model);
    if (holds(model, adapter_file))
        return is_adapter(model, model, err);
    return is_hub_name(model) ? find_cached(model, err) : not_found(model, NULL, err);
}
