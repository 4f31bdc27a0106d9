#include "tests/support/metric_case.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct Rows {
    const json_t *line;
    int64_t begin, count, labels;
} Rows;

static json_t *row(const Rows *rows, const char *key, int64_t b)
{
    json_t *value = json_array_get(json_object_get(rows->line, key), (size_t)(rows->begin + b));
    REQUIRE(value);
    return value;
}

/* The numbers of a row, one alone or a list, behind out; how many. */
static int64_t numbers(float *out, const json_t *value)
{
    if (json_is_number(value)) {
        out[0] = (float)json_number_value(value);
        return 1;
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        out[i] = (float)json_number_value(json_array_get(value, i));
    return (int64_t)json_array_size(value);
}

static double losses(const Rows *rows)
{
    double sum = 0;
    for (int64_t b = 0; b < rows->count; b++)
        sum += json_number_value(row(rows, "losses", b));
    return sum;
}

static void add_classes(Metrics *m, const Rows *rows)
{
    const size_t size = (size_t)(rows->count * rows->labels);
    float *logits = xcalloc(size, sizeof *logits), *goal = xcalloc(size, sizeof *goal);
    for (int64_t b = 0, at = 0; b < rows->count; b++) {
        REQUIRE(numbers(logits + b * rows->labels, row(rows, "logits", b)) == rows->labels);
        at += numbers(goal + at, row(rows, "goal", b));
    }
    metrics_add(m, logits, goal, rows->count, (MetricsLoss){ losses(rows), (double)rows->count });
    free(logits);
    free(goal);
}

static void add_tags(Metrics *m, const Rows *rows)
{
    int64_t *start = xcalloc((size_t)rows->count + 1, sizeof *start);
    for (int64_t b = 0; b < rows->count; b++)
        start[b + 1] = start[b] + (int64_t)json_array_size(row(rows, "goal", b));
    const size_t total = (size_t)start[rows->count];
    int32_t *goal = xcalloc(total + 1, sizeof *goal);
    float *logits = xcalloc(total * (size_t)rows->labels + 1, sizeof *logits);
    for (int64_t b = 0; b < rows->count; b++)
        for (int64_t t = start[b]; t < start[b + 1]; t++) {
            const size_t i = (size_t)(t - start[b]);
            goal[t] = (int32_t)json_integer_value(json_array_get(row(rows, "goal", b), i));
            logits[t * rows->labels + json_integer_value(json_array_get(row(rows, "guess", b), i))] = 1;
        }
    double labelled = 0;
    for (size_t i = 0; i < total; i++)
        labelled += goal[i] >= 0;
    metrics_add_tags(m, logits, goal, start, rows->count, (MetricsLoss){ losses(rows), labelled });
    free(start);
    free(goal);
    free(logits);
}

static void add_tokens(Metrics *m, const Rows *rows)
{
    int64_t tokens = 0;
    for (int64_t b = 0; b < rows->count; b++)
        tokens += json_integer_value(row(rows, "tokens", b));
    metrics_add_tokens(m, rows->count, tokens, losses(rows), losses(rows));
    for (int64_t b = 0; json_object_get(rows->line, "texts") && b < rows->count; b++) {
        const json_t *text = row(rows, "texts", b), *list = json_array_get(text, 1);
        const size_t count = json_array_size(list);
        const char **references = xcalloc(count, sizeof *references);
        for (size_t i = 0; i < count; i++)
            references[i] = json_string_value(json_array_get(list, i));
        metrics_add_text(m, json_string_value(json_array_get(text, 0)), references, (int64_t)count);
        free(references);
    }
}

static MetricsSpec spec_of(const json_t *line, const char ***names)
{
    const char *const tasks[] = { "SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM", "IMAGE_CLS" };
    const char *const problems[] = { "", "single_label_classification", "regression", "multi_label_classification" };
    const char *task = json_string_value(json_object_get(line, "task"));
    const char *problem = json_string_value(json_object_get(line, "problem"));
    const json_t *labels = json_object_get(line, "labels");
    MetricsSpec spec = { .labels = json_integer_value(labels) };
    for (int i = 0; i < 4; i++) {
        if (strcmp(task, tasks[i]) == 0)
            spec.task = (TaskType)i;
        if (problem && strcmp(problem, problems[i]) == 0)
            spec.problem = (ProblemType)i;
    }
    *names = NULL;
    if (json_is_array(labels)) {
        spec.labels = (int64_t)json_array_size(labels);
        *names = xcalloc((size_t)spec.labels, sizeof **names);
        for (size_t i = 0; i < json_array_size(labels); i++)
            (*names)[i] = json_string_value(json_array_get(labels, i));
        spec.label_names = *names;
    }
    return spec;
}

Metrics metric_case(const json_t *line, int64_t chunk, const char ***names)
{
    const MetricsSpec spec = spec_of(line, names);
    const int64_t total = (int64_t)json_array_size(json_object_get(line, "losses"));
    Metrics all;
    metrics_init(&all, &spec);
    for (int64_t at = 0; at < total; at += chunk) {
        const Rows rows = { line, at, total - at < chunk ? total - at : chunk, spec.labels };
        Metrics part;
        metrics_init(&part, &spec);
        if (spec.task == TASK_TOKEN_CLS)
            add_tags(&part, &rows);
        else if (spec.task == TASK_CAUSAL_LM)
            add_tokens(&part, &rows);
        else
            add_classes(&part, &rows);
        REQUIRE(part.size <= metrics_width(&spec, rows.count));
        REQUIRE(metrics_merge(&all, part.sums, part.size));
        metrics_release(&part);
    }
    return all;
}
