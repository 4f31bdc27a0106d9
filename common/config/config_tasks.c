#include "common/config/config_tasks.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char key[] = "tasks";

void config_tasks_release(DataTasks *tasks)
{
    for (int i = 0; i < tasks->count; i++) {
        free(tasks->items[i].name);
        free(tasks->items[i].text);
        free(tasks->items[i].text_pair);
        free(tasks->items[i].label);
    }
    free(tasks->items);
    free(tasks->train_of);
    free(tasks->validation_of);
    *tasks = (DataTasks){ 0 };
}

static bool at_task(const DataTask *task, Err *err)
{
    return err_at(err, "%s.%s", key, task->name);
}

static void add_name(StringList *list, char *owned)
{
    list->items = xrealloc(list->items, (size_t)(list->count + 1) * sizeof *list->items);
    list->items[list->count++] = owned;
}

static void clear(StringList *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (StringList){ 0 };
}

const TaskLabels *task_of_label(const TaskLabels *tasks, int64_t label)
{
    while (label >= tasks->end)
        tasks++;
    return tasks;
}

/* ---- one task ------------------------------------------------------------------------------------ */

/* A file or a list of files, made absolute where they stand; each is added with the number of its task. */
static bool take_files(json_t *given, const char *name, int task, const char *folder, StringList *files, int **of,
                       Err *err)
{
    json_t *value = json_object_get(given, name);
    json_t *list = json_is_array(value) ? json_incref(value) : json_array();
    if (json_is_string(value))
        json_array_append(list, value);
    bool ok = !value || json_array_size(list) > 0;
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const char *file = json_string_value(json_array_get(list, i));
        ok = file != NULL;
        if (!ok)
            break;
        char *expanded = path_expand(file), *joined = folder ? path_join(folder, expanded) : xstrdup(expanded);
        char *whole = path_absolute(joined);
        json_array_set_new(list, i, json_string(whole));
        add_name(files, whole);
        *of = xrealloc(*of, (size_t)files->count * sizeof **of);
        (*of)[files->count - 1] = task;
        free(joined);
        free(expanded);
    }
    if (ok && value)
        json_object_set(given, name, list);
    json_decref(list);
    return ok || err_set(err, ERR_INPUT, "'%s' is a file, or a list of files", name);
}

/* As a label of the data is written. Owned; NULL: it is none. */
static char *label_text(const json_t *value)
{
    if (json_is_string(value) && json_string_length(value) > 0)
        return xstrdup(json_string_value(value));
    if (json_is_integer(value))
        return xprintf("%lld", (long long)json_integer_value(value));
    return json_is_boolean(value) ? xstrdup(json_is_true(value) ? "True" : "False") : NULL;
}

static bool take_labels(const json_t *given, DataTask *task, StringList *labels, Err *err)
{
    const json_t *value = json_object_get(given, "labels");
    const int64_t count = json_is_integer(value) ? json_integer_value(value) : (int64_t)json_array_size(value);
    task->first = labels->count;
    task->labels = count;
    if (count < 2 || count > 65536) {
        err_set(err, ERR_INPUT, "a task has two labels or more, and they are given");
        return err_hint(err, "labels: [negative, positive], or labels: 2 for 0 and 1");
    }
    for (int64_t i = 0; i < count; i++) {
        char *name =
            json_is_array(value) ? label_text(json_array_get(value, (size_t)i)) : xprintf("%lld", (long long)i);
        if (!name)
            return err_set(err, ERR_INPUT, "label %lld is no name", (long long)i + 1);
        add_name(labels, xprintf("%s/%s", task->name, name));
        free(name);
        for (int64_t k = task->first; k + 1 < labels->count; k++)
            if (strcmp(labels->items[k], labels->items[labels->count - 1]) == 0)
                return err_set(err, ERR_INPUT, "label '%s' is there twice", labels->items[k] + strlen(task->name) + 1);
    }
    return true;
}

static bool take_column(const json_t *given, const char *name, const char *usual, char **column, Err *err)
{
    const json_t *value = json_object_get(given, name);
    const char *text = json_is_string(value) ? json_string_value(value) : usual;
    *column = text ? xstrdup(text) : NULL;
    return !value || json_is_null(value) || json_is_string(value) ||
           err_set(err, ERR_INPUT, "'%s' is the name of a column", name);
}

static bool check_names(const json_t *given, Err *err)
{
    static const char *const known[] = { "train", "validation", "text", "text_pair", "label", "labels", "weight" };
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        bool is = false;
        for (size_t i = 0; i < LENGTH(known); i++)
            is |= strcmp(known[i], name) == 0;
        if (is)
            continue;
        const char *near = text_nearest(name, known, LENGTH(known));
        err_set(err, ERR_INPUT, "'%.80s' is not a key of a task", name);
        return err_hint(err, "%s%strain, validation, text, text_pair, label, labels and weight are", near ? near : "",
                        near ? "? " : "");
    }
    return true;
}

static bool is_name(const char *name)
{
    bool ok = isalpha((unsigned char)*name);
    for (const char *at = name; *at; at++)
        ok &= isalnum((unsigned char)*at) || *at == '_' || *at == '-';
    return ok;
}

/* What tasks come to, before it takes the place of what the keys say. */
typedef struct Whole {
    StringList train, validation, labels;
} Whole;

static bool read_task(DataTasks *tasks, const char *name, json_t *given, const char *folder, const DataConfig *d,
                      Whole *all, Err *err)
{
    const int number = tasks->count++;
    DataTask *task = &tasks->items[number];
    const json_t *weight = json_object_get(given, "weight");
    *task = (DataTask){ .name = xstrdup(name), .weight = weight ? json_number_value(weight) : 1 };
    bool ok = true;
    if (!is_name(name))
        ok = err_set(err, ERR_INPUT, "a task's name has letters, digits, - and _, and begins with a letter");
    else if (!json_is_object(given))
        ok = err_set(err, ERR_INPUT, "a task is a map: {train: FILE, validation: FILE, labels: [...]}");
    else if (weight && (!json_is_number(weight) || !(task->weight > 0) || !isfinite(task->weight)))
        ok = err_set(err, ERR_INPUT, "its weight is a number above 0");
    ok = ok && check_names(given, err) && take_column(given, "text", d->text, &task->text, err) &&
         take_column(given, "text_pair", d->text_pair, &task->text_pair, err) &&
         take_column(given, "label", d->label, &task->label, err) &&
         take_files(given, "train", number, folder, &all->train, &tasks->train_of, err) &&
         take_files(given, "validation", number, folder, &all->validation, &tasks->validation_of, err) &&
         take_labels(given, task, &all->labels, err);
    if (ok && !json_object_get(given, "train"))
        ok = err_set(err, ERR_INPUT, "there is no data to train it on");
    return ok || at_task(task, err);
}

/* ---- all of them ----------------------------------------------------------------------------------- */

static bool same(const StringList *a, const StringList *b)
{
    bool is = a->count == b->count;
    for (int i = 0; is && i < a->count; i++)
        is = strcmp(a->items[i], b->items[i]) == 0;
    return is;
}

/* A key that tasks set: nobody has, or to the same (as a run.yaml says both). */
static bool replace(Config *c, const char *name, StringList *there, StringList *ours, Err *err)
{
    char room[256];
    if (there->count > 0 && !same(there, ours)) {
        err_set(err, ERR_INPUT, "each task has its own, and it is given for all");
        err_hint(err, "write it into the tasks");
        return err_at(err, "%s and %s", config_where(c, name, room, sizeof room), key);
    }
    clear(there);
    *there = *ours;
    *ours = (StringList){ 0 };
    return true;
}

static bool check_validation(const DataTasks *tasks, const Whole *all, Err *err)
{
    for (int t = 0; all->validation.count > 0 && t < tasks->count; t++) {
        bool any = false;
        for (int i = 0; i < all->validation.count; i++)
            any |= tasks->validation_of[i] == t;
        if (any)
            continue;
        err_set(err, ERR_INPUT, "other tasks have validation data, and this one has none");
        return at_task(&tasks->items[t], err);
    }
    return true;
}

bool config_tasks_settle(Config *c, const char *folder, Err *err)
{
    if (json_object_size(c->tasks_given) == 0)
        return true;
    Whole all = { 0 };
    const char *name;
    json_t *given;
    bool ok = json_object_size(c->tasks_given) >= 2 ||
              (err_set(err, ERR_INPUT, "a single task needs no list: write it into data"), err_at(err, "%s", key));
    c->tasks.items = xcalloc(json_object_size(c->tasks_given), sizeof *c->tasks.items);
    json_object_foreach(c->tasks_given, name, given)
    {
        ok = ok && read_task(&c->tasks, name, given, folder, &c->data, &all, err);
    }
    ok = ok && check_validation(&c->tasks, &all, err) && replace(c, "data.train", &c->data.train, &all.train, err) &&
         replace(c, "data.validation", &c->data.validation, &all.validation, err) &&
         replace(c, "labels", &c->labels, &all.labels, err);
    c->label_count = ok ? c->labels.count : c->label_count;
    clear(&all.train);
    clear(&all.validation);
    clear(&all.labels);
    return ok;
}

const char *config_tasks_metric(const Config *c, const char *metric)
{
    for (int t = 0; t < c->tasks.count; t++) {
        const char *name = c->tasks.items[t].name;
        const size_t n = strlen(name);
        if (text_starts(metric, name) && metric[n] == '_')
            return metric + n + 1;
    }
    return metric;
}

bool config_tasks_check(const Config *c, Err *err)
{
    const bool tasks = c->tasks.count > 0;
    const struct {
        bool wrong;
        const char *key, *what;
    } rows[] = {
        { tasks && c->task != TASK_SEQ_CLS, "task_type", "tasks beside each other are classes of texts: SEQ_CLS" },
        { tasks && c->problem_type != PROBLEM_AUTO && c->problem_type != PROBLEM_SINGLE_LABEL, "problem_type",
          "tasks beside each other have one class a row" },
        { tasks && c->lora.mode == MODE_FULL, "train.mode", "several tasks share an adapter, and there is none" },
        { tasks && c->data.validation_split > 0, "data.validation_split",
          "of several tasks no rows are split off: each names its validation data" },
        { tasks && c->data.test.count > 0, "data.test", "several tasks have validation data alone" },
        { tasks && json_is_string(c->train.class_weights), "train.class_weights", "tasks have weights of their own" },
        { tasks && json_is_array(c->train.class_weights), "train.class_weights", "tasks have weights of their own" },
        { tasks && json_is_object(c->train.class_weights) && json_object_size(c->train.class_weights) > 0,
          "train.class_weights", "tasks have weights of their own" },
        { !tasks && c->data.sampling != SAMPLING_PROPORTIONAL, "data.sampling",
          "it says how often the rows of each task come, and there are no tasks" },
        { c->data.sampling != SAMPLING_TEMPERATURE && c->data.sampling_temperature != 2, "data.sampling_temperature",
          "it belongs to data.sampling: temperature" },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char room[256];
        if (!rows[i].wrong)
            continue;
        err_set(err, ERR_INPUT, "%s", rows[i].what);
        return err_at(err, "%s", config_where(c, rows[i].key, room, sizeof room));
    }
    return true;
}
