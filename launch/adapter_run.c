#include "launch/adapter_run.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "common/slots/slots.h"

#include <stdlib.h>
#include <string.h>

char *adapter_run_base(const char *adapter, Err *err)
{
    char *path = path_join(adapter, "adapter_config.json"), *name = NULL;
    json_t *config = adapter_config_open(adapter, err);
    const char *base = json_get_string(config, "base_model_name_or_path", NULL, err);
    if (base)
        name = xstrdup(base);
    else if (config && err->kind == ERR_NONE) {
        err_set(err, ERR_INPUT, "the adapter does not say which model it is for");
        err_hint(err, "give --model=DIR");
    }
    if (!name && !err->where[0])
        err_at(err, "%s", path);
    json_decref(config);
    free(path);
    return name;
}

/* By task_type, or, where that is null, by the class that auto_mapping says the adapter wraps. */
static bool read_task(TaskType *task, const json_t *config, Err *err)
{
    const char *name = json_get_string(config, "task_type", NULL, err);
    for (TaskType t = TASK_SEQ_CLS; name && t < TASK_COUNT; t++)
        if (strcmp(config_task_name(t), name) == 0) {
            *task = t;
            return true;
        }
    const json_t *mapping = json_object_get(config, "auto_mapping");
    const char *class_name = json_is_object(mapping) ? json_get_string(mapping, "base_model_class", NULL, err) : NULL;
    if (!name && class_name && arch_class_task(class_name, task))
        return true;
    if (err->kind != ERR_NONE)
        return false;
    if (name) {
        err_set(err, ERR_INPUT, "task_type '%s' is not supported", name);
        return err_hint(err,
                        "adapters of SEQ_CLS, TOKEN_CLS, CAUSAL_LM, SEQ_2_SEQ_LM, FEATURE_EXTRACTION and images are");
    }
    if (class_name)
        err_set(err, ERR_INPUT, "the adapter's task_type is null, and '%s' is the class of no task here", class_name);
    else
        err_set(err, ERR_INPUT, "the adapter does not say what it is for: its task_type is null");
    return err_hint(err,
                    "give --task_type=SEQ_CLS, TOKEN_CLS, CAUSAL_LM, SEQ_2_SEQ_LM, FEATURE_EXTRACTION or IMAGE_CLS");
}

bool adapter_run_check(const char *adapter, Err *err)
{
    return run_folder_is_model(adapter) || run_folder_check(adapter, err);
}

/* Of a model, by the class that it was saved from. */
static bool model_task(TaskType *task, const char *folder, Err *err)
{
    char *path = path_join(folder, "config.json");
    json_t *config = json_file(path, err);
    const char *name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    const bool ok = name && arch_class_task(name, task);
    if (config && !ok) {
        err_set(err, ERR_INPUT,
                "the model does not say what it is for: its architectures name the class of no task here");
        err_hint(err, "give --task_type=SEQ_CLS, TOKEN_CLS, CAUSAL_LM or IMAGE_CLS");
        err_at(err, "%s", path);
    }
    json_decref(config);
    free(path);
    return ok;
}

bool adapter_run_task(TaskType *task, const char *adapter, Err *err)
{
    if (run_folder_is_model(adapter))
        return model_task(task, adapter, err);
    char *path = path_join(adapter, "adapter_config.json");
    json_t *config = adapter_config_open(adapter, err);
    const bool ok = config && (read_task(task, config, err) || err_at(err, "%s", path));
    json_decref(config);
    free(path);
    return ok;
}

int64_t adapter_run_outputs(const char *adapter, Err *err)
{
    static const char *const names[] = { "classifier", "classifier.out_proj", "score" };
    SafeTensors *st = slots_open_adapter(adapter, err);
    int64_t labels = 0;
    for (size_t i = 0; st && labels == 0 && i < sizeof names / sizeof *names; i++) {
        char *name = xprintf("base_model.model.%s.weight", names[i]);
        const TensorView *head = safetensors_find(st, name);
        labels = head && head->dims == 2 ? head->dim[0] : 0;
        free(name);
    }
    safetensors_close(st);
    return labels;
}

/* Outputs of several tasks beside each other are no one's answer. */
static bool check_tasks(Config *config, const char *adapter, Err *err)
{
    if (config->tasks.count == 0)
        return true;
    err_set(err, ERR_INPUT, "it is of %d tasks, and each has an adapter of its own", config->tasks.count);
    err_hint(err, "%s/tasks/%s", adapter, config->tasks.items[0].name);
    err_at(err, "%s", adapter);
    config_release(config);
    return false;
}

bool adapter_run_load(Config *config, const char *adapter, const Arguments *rest, Err *err)
{
    char *file = run_folder_file(adapter), *task = NULL;
    const char **keys = xcalloc((size_t)rest->override_count + 2, sizeof *keys);
    int count = 0;
    bool ok = true;
    if (!file) {
        TaskType type = TASK_SEQ_CLS;
        ok = arguments_key(rest, "task_type") || adapter_run_task(&type, adapter, err);
        task = xprintf("task_type=%s", config_task_name(type));
        keys[count++] = task;
        keys[count++] = "model=none";
    }
    for (int i = 0; i < rest->override_count; i++)
        keys[count++] = rest->overrides[i];
    const ConfigSources sources = { .file = file, .overrides = keys, .override_count = count };
    ok = ok && config_load(config, &sources, err) && run_folder_labels(config, adapter, err) &&
         check_tasks(config, adapter, err);
    free(keys);
    free(task);
    free(file);
    return ok;
}
