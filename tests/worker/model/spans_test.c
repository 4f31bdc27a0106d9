/* Questions to models of every family that has a class for them, padded rows and all (golden/spans): logits of all places, the
 * loss and every gradient are those of Transformers and PEFT. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/slots/slots_tensor.h"
#include "tests/support/model_case.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER "tests/golden/spans"

enum { ROWS = 4, WIDTH = 16, N = ROWS * WIDTH };

typedef struct Questions {
    Case c;
    Weights weights;
    json_t *json;
    int32_t ids[N];
    int64_t start[ROWS + 1], real[ROWS], example[ROWS];
    float goal[2 * ROWS];
} Questions;

static double at(const json_t *list, size_t row, size_t i)
{
    return json_number_value(json_array_get(json_array_get(list, row), i));
}

static void load_base(Questions *q, const char *folder)
{
    Err err = { 0 };
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    must(weights_plan_beside(&q->weights, q->c.table, NULL, files, PRECISION_FP32, &err), &err);
    q->weights.data = xcalloc(1, (size_t)q->weights.bytes);
    must(weights_load(&q->weights, files, 0, 1, &err), &err);
    safetensors_close(files);
}

/* The arch of config.json with the case's keys, whose family may be another. */
static ModelArch *open_changed(const json_t *keys, const char *folder)
{
    Err err = { 0 };
    const StringList none = { 0 };
    char *path = path_join(folder, "config.json"), *place = xstrdup("/tmp/spans_test.XXXXXX");
    assert_non_null(mkdtemp(place));
    json_t *config = json_file(path, &err);
    must(config != NULL, &err);
    json_object_update(config, (json_t *)(uintptr_t)keys);
    free(path);
    path = path_join(place, "config.json");
    must(json_write(path, config, &err), &err);
    ModelArch *arch = arch_open(place, NULL, TASK_QUESTION_ANS, &none, 0, PROBLEM_AUTO, &err);
    must(arch != NULL, &err);
    must(folder_remove(place, &err), &err);
    json_decref(config);
    free(path);
    free(place);
    return arch;
}

static void read_case(Questions *q, const char *folder)
{
    Err err = { 0 };
    char *path = path_join(folder, "case.json");
    q->json = json_file(path, &err);
    must(q->json != NULL, &err);
    free(path);
    const json_t *ids = json_object_get(q->json, "ids"), *goal = json_object_get(q->json, "goal");
    for (size_t b = 0; b < ROWS; b++) {
        q->start[b + 1] = q->start[b] + WIDTH;
        q->example[b] = (int64_t)b;
        q->real[b] = json_integer_value(json_array_get(json_object_get(q->json, "real"), b));
        for (size_t t = 0; t < WIDTH; t++)
            q->ids[b * WIDTH + t] = (int32_t)at(ids, b, t);
        for (size_t end = 0; end < 2; end++)
            q->goal[2 * b + end] = (float)at(goal, b, end);
    }
}

static void questions_open(Questions *q, const char *folder)
{
    Err err = { 0 };
    *q = (Questions){ 0 };
    read_case(q, folder);
    char *model = xprintf("tests/golden/%s/model", json_string_value(json_object_get(q->json, "case")));
    q->c.arch = open_changed(json_object_get(q->json, "config"), model);
    must(lora_config_read(&q->c.lora, folder, &err), &err);
    open_table(&q->c);
    ModelArch *arch = q->c.arch;
    arch->embed_dropout = arch->hidden_dropout = arch->attention_dropout = arch->inner_dropout = 0;
    arch->final_dropout = arch->head.dropout = arch->head.pooler_dropout = 0;
    must(slots_read(q->c.values, q->c.table, folder, &err), &err);
    load_base(q, model);
    free(model);
}

static void questions_close(Questions *q)
{
    free(q->weights.data);
    weights_release(&q->weights);
    close_case(&q->c);
    json_decref(q->json);
}

static void expect_logits(const Questions *q, const char *name, const float *logits)
{
    const json_t *want = json_object_get(q->json, "logits");
    assert_int_equal(json_array_size(want), 2 * N);
    for (size_t i = 0; i < 2 * N; i++) {
        const double wanted = json_number_value(json_array_get(want, i));
        if (!(fabs((double)logits[i] - wanted) < 3e-5))
            fail_msg("%s: row %zu, place %zu: a logit is %g instead of %g", name, i / 2 / WIDTH, i / 2 % WIDTH,
                     (double)logits[i], wanted);
    }
}

/* The bias of the head moves all places of a row alike: its gradient is what sums leave. */
static double off(const Slot *slot, const float *got, const float *wanted)
{
    double most = 0;
    if (slot->dims > 1)
        return difference(got, wanted, slot->count);
    for (int64_t i = 0; i < slot->count; i++)
        most = fmax(most, fabs((double)got[i] - (double)wanted[i]));
    return most;
}

static void expect_gradients(const Questions *q, const char *name, const char *folder, const float *grad)
{
    Err err = { 0 };
    char *path = path_join(folder, "grads.safetensors");
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    assert_int_equal(safetensors_count(file), q->c.table->count);
    for (int i = 0; i < q->c.table->count; i++) {
        const Slot *slot = &q->c.table->slots[i];
        const TensorView *view = safetensors_find(file, slot->name);
        float *wanted = xcalloc((size_t)slot->count, sizeof *wanted);
        if (!view)
            fail_msg("%s: PEFT has no %s", name, slot->name);
        must(slot_fits(slot, view, &err) && slot_read(wanted, slot, view, &err), &err);
        const double apart = off(slot, grad + slot->offset, wanted);
        if (!(apart < 1e-4))
            fail_msg("%s: %s: the gradient is off by %g of its largest", name, slot->name, apart);
        free(wanted);
    }
    safetensors_close(file);
    free(path);
}

static void check(const char *name)
{
    Err err = { 0 };
    Questions q;
    char *folder = path_join(FOLDER, name);
    questions_open(&q, folder);
    const ModelOptions o = {
        .most_tokens = N, .most_sequences = ROWS, .longest = WIDTH, .training = true, .threads = 1, .seed = 1
    };
    Model *model = model_open(q.c.arch, q.c.table, &q.weights, &o, &err);
    must(model != NULL, &err);
    const Batch batch = {
        .B = ROWS, .N = N, .start = q.start, .real = q.real, .ids = q.ids, .example = q.example, .goal = q.goal
    };
    float logits[2 * N];
    float *grad = xcalloc((size_t)q.c.table->size, sizeof *grad);
    model_predict(model, &batch, q.c.values, logits);
    expect_logits(&q, name, logits);
    const BatchLoss loss = model_train(model, &batch, q.c.values, grad, 0);
    assert_float_equal(loss.sum, json_real_value(json_object_get(q.json, "loss")), 3e-5);
    expect_gradients(&q, name, folder, grad);
    free(grad);
    model_close(model);
    questions_close(&q);
    free(folder);
}

static void answers_are_those_of_transformers(void **state)
{
    (void)state;
    DIR *folder = opendir(FOLDER);
    int count = 0;
    assert_non_null(folder);
    for (const struct dirent *one; (one = readdir(folder));) {
        if (strchr(one->d_name, '.'))
            continue;
        check(one->d_name);
        count++;
    }
    closedir(folder);
    assert_true(count >= 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(answers_are_those_of_transformers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
