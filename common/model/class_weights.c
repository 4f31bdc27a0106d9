#include "common/model/class_weights.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char key[] = "train.class_weights";

bool class_weights_are_given(const json_t *given)
{
    return given && (!json_is_object(given) || json_object_size(given) > 0);
}

bool class_weights_are_balanced(const json_t *given)
{
    return json_is_string(given);
}

/* By its name, else by its number from 0; -1: there is none. */
static int64_t label_of(const ModelArch *arch, const char *label)
{
    for (int64_t l = 0; l < arch->head.labels; l++)
        if (strcmp(arch->head.label_names[l], label) == 0)
            return l;
    char *rest;
    const long long number = strtoll(label, &rest, 10);
    return rest != label && *rest == '\0' && number >= 0 && number < arch->head.labels ? number : -1;
}

static bool name_labels(const ModelArch *arch, Err *err)
{
    enum { MOST = 20 };
    Text names = { 0 };
    for (int64_t l = 0; l < arch->head.labels && l < MOST; l++)
        text_addf(&names, "%s%s", l ? ", " : "", arch->head.label_names[l]);
    err_hint(err, "a weight for each of the %lld labels (%.300s%s), by name or number, or a list in this order",
             (long long)arch->head.labels, names.data, arch->head.labels > MOST ? ", ..." : "");
    text_release(&names);
    return err_at(err, "%s", key);
}

static bool check_number(const json_t *value, double *sum, const char *label, Err *err)
{
    const double weight = json_number_value(value);
    *sum += weight;
    if (json_is_number(value) && weight >= 0 && weight < (double)INFINITY)
        return true;
    err_set(err, ERR_INPUT, "the weight of class '%.80s' is not a number from 0", label);
    return err_at(err, "%s", key);
}

/* Every label once. */
static bool check_map(const json_t *map, const ModelArch *arch, double *sum, Err *err)
{
    bool *seen = xcalloc((size_t)arch->head.labels, sizeof *seen), ok = true;
    const char *label;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, label, value)
    {
        const int64_t at = arch->head.labels_open ? -1 : label_of(arch, label);
        ok = ok && check_number(value, sum, label, err);
        if (!ok || arch->head.labels_open)
            continue;
        if (at < 0 || seen[at]) {
            err_set(err, ERR_INPUT, at < 0 ? "'%.80s' is not one of the labels" : "label '%.80s' has two weights",
                    label);
            ok = name_labels(arch, err);
            continue;
        }
        seen[at] = true;
    }
    for (int64_t l = 0; ok && !arch->head.labels_open && l < arch->head.labels; l++)
        if (!seen[l]) {
            err_set(err, ERR_INPUT, "label '%.80s' has no weight", arch->head.label_names[l]);
            ok = name_labels(arch, err);
        }
    free(seen);
    return ok;
}

static bool check_list(const json_t *list, const ModelArch *arch, double *sum, Err *err)
{
    const int64_t count = (int64_t)json_array_size(list);
    if (!arch->head.labels_open && count != arch->head.labels) {
        err_set(err, ERR_INPUT, "%lld weights for %lld labels", (long long)count, (long long)arch->head.labels);
        return name_labels(arch, err);
    }
    for (int64_t l = 0; l < count; l++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)l);
        if (!check_number(json_array_get(list, (size_t)l), sum, number, err))
            return false;
    }
    return true;
}

static bool check_problem(const ModelArch *arch, Err *err)
{
    const char *goals = arch->head.task->speaks                     ? "tokens"
                        : arch->head.task->spans                    ? "places in a text"
                        : arch->head.problem == PROBLEM_REGRESSION  ? "numbers (regression)"
                        : arch->head.problem == PROBLEM_MULTI_LABEL ? "several labels a row"
                                                                    : NULL;
    if (!goals)
        return true;
    err_set(err, ERR_INPUT, "weights are of classes, and the goals are %s", goals);
    err_hint(err, "remove %s", key);
    return err_at(err, "%s", key);
}

bool class_weights_check(const json_t *given, const ModelArch *arch, Err *err)
{
    double sum = 0;
    if (!class_weights_are_given(given))
        return true;
    if (!check_problem(arch, err))
        return false;
    if (class_weights_are_balanced(given))
        return true;
    if (!(json_is_array(given) ? check_list : check_map)(given, arch, &sum, err))
        return false;
    if (sum > 0 && sum < (double)INFINITY)
        return true;
    err_set(err, ERR_INPUT, sum > 0 ? "the weights are too large" : "all weights are 0: there is nothing to learn");
    return err_at(err, "%s", key);
}

void class_weights_read(double *weights, const json_t *given, const ModelArch *arch)
{
    const char *label;
    json_t *value;
    size_t l;
    if (json_is_array(given)) {
        json_array_foreach(given, l, value) weights[l] = json_number_value(value);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)given, label, value)
    {
        const int64_t at = label_of(arch, label);
        REQUIRE(at >= 0);
        weights[at] = json_number_value(value);
    }
}

bool class_weights_balance(double *weights, const int64_t *count, const ModelArch *arch, Err *err)
{
    const int64_t labels = arch->head.labels;
    int64_t all = 0;
    for (int64_t l = 0; l < labels; l++)
        all += count[l];
    for (int64_t l = 0; l < labels; l++) {
        if (count[l] == 0) {
            err_set(err, ERR_INPUT,
                    "nothing that is trained on has label '%.80s', so that `balanced` gives it no weight",
                    arch->head.label_names[l]);
            err_hint(err, "give the weights as numbers: a list, or {label: weight}");
            return err_at(err, "%s", key);
        }
        weights[l] = (double)all / ((double)labels * (double)count[l]);
    }
    return true;
}
