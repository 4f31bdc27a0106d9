#include "tests/support/model_case.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/slots/inits.h"
#include "worker/images/image_read.h"
#include "worker/images/process.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

char *file_of(const Subject *s, const char *file)
{
    return xprintf("tests/golden/%s/%s", s->name, file);
}

/* ---- rows --------------------------------------------------------------------------- */

static int64_t ints(int32_t *out, const json_t *list)
{
    const size_t n = json_array_size(list);
    assert_true(n <= MOST_LENGTH);
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return (int64_t)n;
}

static void read_pixels(Subject *s, Row *row, const char *split, const char *name)
{
    Err err = { 0 };
    const int64_t size = s->c.arch->image_size, n = size * size;
    char *folder = file_of(s, "model"), *path = xprintf("tests/golden/%s/%s/%s", s->name, split, name);
    ImageProcess process;
    Image image;
    must(image_process_load(&process, folder, &err), &err);
    must(image_read(&image, path, &err), &err);
    uint8_t *planes = xmalloc((size_t)(3 * n));
    row->pixels = xmalloc((size_t)(3 * n) * sizeof(float));
    must(image_process_apply(&process, planes, size, size, &image, &err), &err);
    image_process_values(&process, row->pixels, planes, n);
    const int64_t side = size / s->c.arch->patch;
    row->length = 1 + side * side;
    image_release(&image);
    free(planes);
    free(path);
    free(folder);
}

/* The texts of a row, in order, each with its score. */
static void read_columns(Set *set, const json_t *from)
{
    const char *key;
    json_t *text;
    json_object_foreach((json_t *)(uintptr_t)from, key, text)
    {
        if (!json_is_object(text))
            continue;
        assert_true(set->count < MOST_ROWS);
        Row *row = &set->rows[set->count++];
        row->length = ints(row->ids, json_object_get(text, "input_ids"));
        ints(row->types, json_object_get(text, "token_type_ids"));
        row->goal[0] = (float)json_number_value(json_object_get(from, "score"));
    }
}

/* A source and its target, as rows_sources.h says. */
static void read_pair(const ModelArch *arch, Row *row, const json_t *labels)
{
    const int64_t S = row->length, T = (int64_t)json_array_size(labels);
    assert_true(S + T <= MOST_LENGTH);
    for (int64_t t = 0; t < S; t++)
        row->labels[t] = -100;
    ints(row->labels + S, labels);
    row->ids[S] = (int32_t)arch->start_id;
    memcpy(row->ids + S + 1, row->labels + S, (size_t)(T - 1) * sizeof *row->ids);
    for (int64_t t = 0; t < T; t++)
        row->types[S + t] = 1;
    row->length = S + T;
}

static void read_row(Subject *s, const json_t *from)
{
    const char *split = json_string_value(json_object_get(from, "split"));
    Set *set = strcmp(split, "train") == 0 ? &s->train : &s->dev;
    if (s->c.arch->head.task->embeds) {
        read_columns(set, from);
        return;
    }
    assert_true(set->count < MOST_ROWS);
    Row *row = &set->rows[set->count++];
    const json_t *labels = json_object_get(from, "labels"), *name = json_object_get(from, "file");
    row->length = ints(row->ids, json_object_get(from, "input_ids"));
    ints(row->types, json_object_get(from, "token_type_ids"));
    if (json_is_number(labels))
        row->goal[0] = (float)json_number_value(labels);
    else if (s->c.arch->source_layers > 0)
        read_pair(s->c.arch, row, labels);
    else if (s->c.arch->head.rows == READ_LABELLED)
        ints(row->labels, labels);
    for (size_t i = 0; i < json_array_size(labels) && i < MOST_LABELS; i++)
        row->goal[i] = (float)json_number_value(json_array_get(labels, i));
    if (name)
        read_pixels(s, row, split, json_string_value(name));
}

static void read_rows(Subject *s)
{
    Err err = { 0 };
    char *path = file_of(s, "expected/encoded.jsonl");
    char *text = file_read(path, NULL, &err), *rest = NULL;
    must(text != NULL, &err);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *row = json_bytes(line, strlen(line), path, &err);
        must(row != NULL, &err);
        read_row(s, row);
        json_decref(row);
    }
    free(text);
    free(path);
}

/* ---- a case ------------------------------------------------------------------------- */

static void load_weights(Subject *s, Precision precision, int parts)
{
    Err err = { 0 };
    char *folder = file_of(s, "model");
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    must(weights_plan_beside(&s->weights, s->c.table, NULL, files, precision, &err), &err);
    s->weights.data = s->weights.bytes > 0 ? xcalloc(1, (size_t)s->weights.bytes) : NULL;
    for (int part = 0; part < parts; part++)
        must(weights_load(&s->weights, files, part, parts, &err), &err);
    safetensors_close(files);
    free(folder);
}

void reload_subject(Subject *s, Precision precision, int parts)
{
    free(s->weights.data);
    weights_release(&s->weights);
    load_weights(s, precision, parts);
}

static void load(Subject *s)
{
    Err err = { 0 };
    load_weights(s, PRECISION_FP32, 1);
    for (int i = 0; inits_shift(&s->c.lora) && i < s->c.arch->module_count; i++)
        must(inits_shift_base(weights_room(&s->weights, i), s->c.table, i, &s->c.lora, 1, &err), &err);
    read_rows(s);
}

/* The runs switch dropout off by model_config, and one says its problem. */
static void settle(Subject *s)
{
    ModelArch *arch = s->c.arch;
    arch->embed_dropout = arch->hidden_dropout = arch->attention_dropout = 0;
    arch->inner_dropout = arch->final_dropout = 0;
    arch->head.pooler_dropout = arch->head.dropout = 0;
    if (strcmp(s->name, "bert-multilabel") == 0)
        arch->head.problem = PROBLEM_MULTI_LABEL;
}

Subject *open_subject_of(const GoldenCase *of, const char *settings_of, const char *values_of)
{
    Err err = { 0 };
    Subject *s = xcalloc(1, sizeof *s);
    s->name = of->name;
    char *folder = file_of(s, "model");
    s->c.arch = open_arch(folder, of->task, of->labels);
    s->c.lora = (LoraConfig){ .mode = MODE_FULL };
    must(!settings_of || lora_config_read(&s->c.lora, settings_of, &err), &err);
    open_table(&s->c);
    settle(s);
    must(slots_read(s->c.values, s->c.table, values_of, &err), &err);
    load(s);
    free(folder);
    return s;
}

static Subject *open_from(int g, const char *settings_of, const char *values_of)
{
    return open_subject_of(&golden[g], g < GOLDEN ? settings_of : NULL, values_of);
}

const char *first_values_of(int g)
{
    return g < GOLDEN ? "init" : "model";
}

Subject *open_subject(int g)
{
    char *settings_of = xprintf("tests/golden/%s/init", golden[g].name);
    char *values_of = xprintf("tests/golden/%s/%s", golden[g].name, first_values_of(g));
    Subject *s = open_from(g, settings_of, values_of);
    free(settings_of);
    free(values_of);
    return s;
}

Subject *open_subject_adapter(int g, const char *adapter)
{
    return open_from(g, adapter, adapter);
}

Subject *open_subject_with(int g, const char *lora)
{
    Subject *s = xcalloc(1, sizeof *s);
    s->name = golden[g].name;
    char *folder = file_of(s, "model");
    s->c = (Case){ .arch = open_arch(folder, golden[g].task, golden[g].labels),
                   .lora = lora ? settings(lora) : (LoraConfig){ .mode = MODE_FULL } };
    open_table(&s->c);
    free(folder);
    settle(s);
    load(s);
    return s;
}

void close_subject(Subject *s)
{
    for (int i = 0; i < MOST_ROWS; i++) {
        free(s->train.rows[i].pixels);
        free(s->dev.rows[i].pixels);
    }
    free(s->weights.data);
    weights_release(&s->weights);
    close_case(&s->c);
    free(s);
}

Packed pack(const Subject *s, const Set *set, const int *index, int B)
{
    const ModelArch *arch = s->c.arch;
    const int64_t width = arch->head.problem == PROBLEM_MULTI_LABEL ? arch->head.labels : 1;
    const int64_t image = 3 * arch->image_size * arch->image_size;
    Packed p = { .start = xcalloc((size_t)B + 1, sizeof *p.start),
                 .example = xcalloc((size_t)B, sizeof *p.example),
                 .ids = xcalloc((size_t)B * MOST_LENGTH, sizeof *p.ids),
                 .types = xcalloc((size_t)B * MOST_LENGTH, sizeof *p.types),
                 .labels = xcalloc((size_t)B * MOST_LENGTH, sizeof *p.labels),
                 .goal = xcalloc((size_t)(B * width), sizeof *p.goal),
                 .pixels = xcalloc((size_t)(B * image) + 1, sizeof *p.pixels) };
    int64_t N = 0;
    for (int b = 0; b < B; b++) {
        const Row *row = &set->rows[index ? index[b] : b];
        p.start[b] = N;
        p.example[b] = b;
        for (int64_t t = 0; t < row->length && !arch->image_size; t++) {
            p.ids[N + t] = row->ids[t];
            p.types[N + t] = row->types[t];
            p.labels[N + t] = row->labels[t];
        }
        if (arch->head.task->speaks && arch->source_layers == 0)
            for (int64_t t = 0; t < row->length; t++)
                p.labels[N + t] = t + 1 < row->length ? row->labels[t + 1] : -100;
        memcpy(p.goal + b * width, row->goal, (size_t)width * sizeof *p.goal);
        if (row->pixels)
            memcpy(p.pixels + b * image, row->pixels, (size_t)image * sizeof *p.pixels);
        N += row->length;
    }
    p.start[B] = N;
    const bool tokens = arch->head.rows == READ_LABELLED;
    p.batch = (Batch){ .B = B,
                       .N = N,
                       .start = p.start,
                       .ids = arch->image_size ? NULL : p.ids,
                       .types = arch->types > 0 || arch->source_layers > 0 ? p.types : NULL,
                       .example = p.example,
                       .goal = tokens ? NULL : p.goal,
                       .token_goal = tokens ? p.labels : NULL,
                       .pixels = arch->image_size ? p.pixels : NULL };
    return p;
}

void unpack(Packed *p)
{
    free(p->start);
    free(p->example);
    free(p->ids);
    free(p->types);
    free(p->labels);
    free(p->goal);
    free(p->pixels);
}

Model *open_subject_model(const Subject *s, const Packed *p, double lora_dropout)
{
    const ModelOptions o = { .most_tokens = p->batch.N,
                             .most_sequences = p->batch.B,
                             .longest = MOST_LENGTH < s->c.arch->positions ? MOST_LENGTH : s->c.arch->positions,
                             .training = true,
                             .threads = 1,
                             .lora_dropout = lora_dropout,
                             .seed = 42 };
    Err err = { 0 };
    Model *model = model_open(s->c.arch, s->c.table, &s->weights, &o, &err);
    must(model != NULL, &err);
    return model;
}

double difference(const float *a, const float *b, int64_t n)
{
    double most = 0, largest = 1e-30;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return most / largest;
}
