#include "ps/task_folders.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "ps/output.h"

#include <stdlib.h>
#include <string.h>

/* The names of a task's labels, as its data has them. */
static StringList own_labels(const HeadArch *head, const TaskLabels *task)
{
    const int64_t count = task->end - task->begin;
    StringList list = { xcalloc((size_t)count, sizeof *list.items), 0 };
    for (; list.count < count; list.count++)
        list.items[list.count] = head->label_names[task->begin + list.count] + strlen(task->name) + 1; /* lent */
    return list;
}

static const Slot *slot_named(const SlotTable *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->slots[i].name, name) == 0)
            return &table->slots[i];
    return NULL;
}

/* to[task's table] <- from[the run's]: of what has a row for each label, the rows of the task. */
static void take(float *to, const SlotTable *table, const float *from, const SlotTable *all, const TaskLabels *task)
{
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i], *of = slot_named(all, slot->name);
        REQUIRE(of && of->count >= slot->count);
        const bool rows = of->count != slot->count;
        REQUIRE(!rows || (!of->transposed && of->dim[0] == all->arch->head.labels));
        const int64_t skip = rows ? task->begin * (of->count / of->dim[0]) : 0;
        memcpy(to + slot->offset, from + of->offset + skip, (size_t)slot->count * sizeof *to);
    }
}

static bool write_labels(const StringList *labels, const char *folder, Err *err)
{
    json_t *names = json_array();
    for (int i = 0; i < labels->count; i++)
        json_array_append_new(names, json_string(labels->items[i]));
    char *path = path_join(folder, "labels.json");
    const bool ok = json_write(path, names, err);
    free(path);
    json_decref(names);
    return ok;
}

static bool fill(const Run *run, const AdapterForm *form, const Adapted *own, const TaskLabels *task,
                 const StringList *labels, const char *folder, Err *err)
{
    const SlotTable *table = own->table, *all = run->adapted.table;
    float *values = xcalloc((size_t)table->size, sizeof *values), *first = NULL;
    take(values, table, form->values, all, task);
    if (form->first) {
        first = xcalloc((size_t)table->size, sizeof *first);
        take(first, table, form->first, all, task);
    }
    AdapterForm mine = *form;
    mine.values = values;
    mine.first = first;
    const bool ok = folder_make(folder, err) &&
                    slots_write_adapter(folder, &mine, table, &run->config.lora, run->config.model, err) &&
                    output_model_files(run, folder, err) && write_labels(labels, folder, err) &&
                    folder_sync(folder, err);
    free(values);
    free(first);
    return ok;
}

static bool write_one(const Run *run, const AdapterForm *form, const TaskLabels *task, const char *folder, Err *err)
{
    StringList labels = own_labels(&run->adapted.arch->head, task);
    AdaptedOptions options = adapted_of(&run->config);
    Adapted own;
    options.labels = &labels;
    options.label_count = labels.count;
    options.problem = PROBLEM_SINGLE_LABEL;
    options.tasks = NULL;
    char *path = xprintf("%s/tasks/%s", folder, task->name);
    const bool ok = adapted_open(&own, &options, err) && fill(run, form, &own, task, &labels, path, err);
    adapted_release(&own);
    free(path);
    free(labels.items);
    return ok;
}

bool task_folders_write(const Run *run, const AdapterForm *form, const char *folder, Err *err)
{
    const HeadArch *head = &run->adapted.arch->head;
    bool ok = true;
    for (int t = 0; ok && t < head->task_count; t++)
        ok = write_one(run, form, &head->tasks[t], folder, err);
    if (ok && head->task_count > 0) {
        char *tasks = path_join(folder, "tasks");
        ok = folder_sync(tasks, err);
        free(tasks);
    }
    return ok;
}
