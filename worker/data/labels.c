#include "worker/data/labels.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* "negative, neutral, positive", for errors. */
static void list_labels(const ModelArch *arch, const char *label, Err *bad)
{
    char *rest;
    strtod(label, &rest);
    const bool number = rest != label && *rest == '\0' && arch->head.task->numbers;
    Text names = { 0 };
    for (int64_t i = 0; i < arch->head.labels && i < 20; i++)
        text_addf(&names, "%s%s", i ? ", " : "", arch->head.label_names[i]);
    err_hint(bad, "the labels are %.300s%s (or their numbers from 0); set `labels:` in the run file%s", names.data,
             arch->head.labels > 20 ? ", ..." : "", number ? ", or problem_type: regression" : "");
    text_release(&names);
}

static int by_name(const void *a, const void *b, void *names)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    const int order = strcmp(((char **)names)[x], ((char **)names)[y]);
    return order ? order : (x > y) - (x < y);
}

static void make_index(LabelIndex *index, const ModelArch *arch)
{
    index->order = xmalloc((size_t)arch->head.labels * sizeof *index->order);
    for (int64_t i = 0; i < arch->head.labels; i++)
        index->order[i] = (int32_t)i;
    qsort_r(index->order, (size_t)arch->head.labels, sizeof *index->order, by_name, arch->head.label_names);
}

void label_index_release(LabelIndex *index)
{
    free(index->order);
    *index = (LabelIndex){ 0 };
}

/* -1: there is none. */
static int64_t find(LabelIndex *index, const ModelArch *arch, const char *label)
{
    char *const *names = arch->head.label_names;
    const int64_t count = arch->head.labels;
    if (!index->order)
        make_index(index, arch);
    const int32_t *order = index->order;
    int64_t low = 0, high = count; /* the first that is not before it lies in [low, high] */
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (strcmp(names[order[middle]], label) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strcmp(names[order[low]], label) == 0 ? order[low] : -1;
}

int64_t label_class(LabelIndex *index, const ModelArch *arch, const char *label, Err *bad)
{
    const int64_t at = find(index, arch, label);
    if (at >= 0)
        return at;
    char *rest;
    const long long number = strtoll(label, &rest, 10);
    if (rest != label && *rest == '\0' && number >= 0 && number < arch->head.labels)
        return number;
    if (strcmp(label, "True") == 0 || strcmp(label, "False") == 0) /* as Python counts them */
        return label[0] == 'T' && arch->head.labels > 1;
    err_set(bad, ERR_INPUT, "'%s' is not one of the %lld labels", label, (long long)arch->head.labels);
    list_labels(arch, label, bad);
    return -1;
}

static bool parse_class(float *goal, LabelIndex *index, const ModelArch *arch, const char *label, Err *bad)
{
    const int64_t at = label_class(index, arch, label, bad);
    *goal = (float)at;
    return at >= 0;
}

static bool parse_real(float *goal, const char *label, Err *bad)
{
    char *rest;
    const char *const truth = strcmp(label, "True") == 0 ? "1" : strcmp(label, "False") == 0 ? "0" : label;
    *goal = strtof(truth, &rest);
    if (rest != truth && *rest == '\0' && *goal - *goal == 0.0f)
        return true;
    err_set(bad, ERR_INPUT, "'%s' is not a number", label);
    return strchr(label, ',') ? err_hint(bad, "numbers are written with a point: 3.5") : false;
}

/* A list of 0 and 1, one a label; or a list of label names. */
static bool parse_many(float *goal, LabelIndex *index, const ModelArch *arch, const json_t *value, Err *bad)
{
    memset(goal, 0, (size_t)arch->head.labels * sizeof *goal);
    if (!json_is_array(value)) {
        err_set(bad, ERR_INPUT, "the label of a multi-label row must be a list");
        return err_hint(bad, "[0, 1, 0] or a list of label names, in a .jsonl file");
    }
    const bool names = json_array_size(value) > 0 && json_is_string(json_array_get(value, 0));
    if (json_array_size(value) == 0) /* a row with none of them */
        return true;
    if (!names && (int64_t)json_array_size(value) != arch->head.labels)
        return err_set(bad, ERR_INPUT, "the label has %zu numbers, there are %lld labels", json_array_size(value),
                       (long long)arch->head.labels);
    size_t i;
    json_t *v;
    json_array_foreach(value, i, v)
    {
        float at;
        if (names) {
            if (!json_is_string(v) || !parse_class(&at, index, arch, json_string_value(v), bad))
                return bad->kind != ERR_NONE ? false : err_set(bad, ERR_INPUT, "a label is not a name");
            goal[(int64_t)at] = 1.0f;
        } else {
            goal[i] = json_is_true(v) ? 1.0f : (float)json_number_value(v);
            if ((!json_is_number(v) && !json_is_boolean(v)) || goal[i] < 0.0f || goal[i] > 1.0f)
                return err_set(bad, ERR_INPUT, "number %zu of the label is not between 0 and 1", i + 1);
        }
    }
    return true;
}

static bool refuse_list(const json_t *value, Err *bad)
{
    const bool names = json_is_string(json_array_get(value, 0));
    err_set(bad, ERR_INPUT, "the label is a list: several labels a row");
    if (names)
        return err_hint(bad, "set problem_type: multi_label_classification, and labels: [all their names]");
    return err_hint(bad, "set problem_type: multi_label_classification, and labels: %zu (or a list of their names)",
                    json_array_size(value));
}

bool label_missing(Err *bad)
{
    err_set(bad, ERR_INPUT, "the row has no label");
    return err_hint(bad, "give it one; data.skip_bad_rows: true leaves such rows out");
}

int64_t label_width(const ModelArch *arch)
{
    if (arch->head.task->spans)
        return 2;
    if (arch->head.task->of_tokens)
        return 0;
    return arch->head.problem == PROBLEM_MULTI_LABEL ? arch->head.labels : 1;
}

bool label_goal(float *goal, LabelIndex *index, const ModelArch *arch, const Record *record, Err *bad)
{
    if (arch->head.problem == PROBLEM_MULTI_LABEL)
        return parse_many(goal, index, arch, record->label_json, bad);
    if (json_is_array(record->label_json))
        return refuse_list(record->label_json, bad);
    if (!record->label)
        return label_missing(bad);
    return arch->head.problem == PROBLEM_REGRESSION ? parse_real(goal, record->label, bad)
                                                    : parse_class(goal, index, arch, record->label, bad);
}

bool label_task_goal(float *goal, LabelIndex *index, const ModelArch *arch, const DataTask *task, const Record *record,
                     Err *bad)
{
    if (json_is_array(record->label_json))
        return err_set(bad, ERR_INPUT, "the label is a list: a row of task '%s' has one", task->name);
    if (!record->label)
        return label_missing(bad);
    char *name = xprintf("%s/%s", task->name, record->label), *rest;
    const int64_t at = find(index, arch, name);
    free(name);
    const long long number = strtoll(record->label, &rest, 10);
    const bool is_number = rest != record->label && *rest == '\0' && number >= 0 && number < task->labels;
    *goal = (float)(at >= 0 ? at : task->first + number);
    if (at >= 0 || is_number)
        return true;
    err_set(bad, ERR_INPUT, "'%s' is not one of the %lld labels of task '%s'", record->label, (long long)task->labels,
            task->name);
    Text names = { 0 };
    for (int64_t i = 0; i < task->labels && i < 20; i++)
        text_addf(&names, "%s%s", i ? ", " : "", arch->head.label_names[task->first + i] + strlen(task->name) + 1);
    err_hint(bad, "they are %.300s%s (or their numbers from 0): tasks.%s.labels", names.data,
             task->labels > 20 ? ", ..." : "", task->name);
    text_release(&names);
    return false;
}
