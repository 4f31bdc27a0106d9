/* The less usual settings of encoders (tests/golden/encoders): logits are those of Transformers, whether a row stands
 * alone or among others. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/slots_case.h"
#include "worker/model/model.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER "tests/golden/encoders"

enum { ROWS = 4, MOST = 24, LABELS = 3 };

typedef struct Batched {
    int32_t ids[ROWS * MOST], types[ROWS * MOST];
    int64_t start[ROWS + 1], example[ROWS];
    double logits[ROWS * MOST * LABELS];
    int64_t count; /* of logits */
} Batched;

static void read_rows(Batched *b, const char *folder)
{
    Err err = { 0 };
    char *path = path_join(folder, "rows.jsonl"), *text = file_read(path, NULL, &err), *rest = text, *line;
    must(text != NULL, &err);
    for (int r = 0; (line = strsep(&rest, "\n")) && *line; r++) {
        json_t *row = json_loads(line, 0, NULL);
        const json_t *ids = json_object_get(row, "ids"), *types = json_object_get(row, "token_type_ids");
        const json_t *logits = json_object_get(row, "logits");
        assert_true(r < ROWS);
        b->example[r] = r;
        b->start[r + 1] = b->start[r] + (int64_t)json_array_size(ids);
        for (size_t i = 0; i < json_array_size(ids); i++) {
            b->ids[b->start[r] + (int64_t)i] = (int32_t)json_integer_value(json_array_get(ids, i));
            b->types[b->start[r] + (int64_t)i] = (int32_t)json_integer_value(json_array_get(types, i));
        }
        for (size_t i = 0; i < json_array_size(logits); i++)
            b->logits[b->count++] = json_real_value(json_array_get(logits, i));
        json_decref(row);
    }
    assert_true(b->start[ROWS] > 0);
    free(text);
    free(path);
}

static Weights load(const Case *c, const char *folder)
{
    Err err = { 0 };
    Weights weights;
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    must(weights_plan_beside(&weights, c->table, NULL, files, PRECISION_FP32, &err), &err);
    weights.data = xcalloc(1, (size_t)weights.bytes);
    must(weights_load(&weights, files, 0, 1, &err), &err);
    safetensors_close(files);
    return weights;
}

static TaskType task_of(const char *folder)
{
    Err err = { 0 };
    char *path = path_join(folder, "config.json");
    json_t *config = json_file(path, &err);
    must(config != NULL, &err);
    TaskType task = TASK_SEQ_CLS;
    assert_true(arch_class_task(json_string_value(json_array_get(json_object_get(config, "architectures"), 0)), &task));
    json_decref(config);
    free(path);
    return task;
}

static void expect_logits(const char *name, const float *got, const Batched *b)
{
    double most = 0, largest = 1;
    for (int64_t i = 0; i < b->count; i++) {
        most = fmax(most, fabs((double)got[i] - b->logits[i]));
        largest = fmax(largest, fabs(b->logits[i]));
    }
    if (!(most < 2e-5 * largest))
        fail_msg("%s: logits are off by %g of %g", name, most, largest);
}

static void check_variant(const char *name)
{
    Err err = { 0 };
    char *folder = path_join(FOLDER, name);
    Batched b = { 0 };
    Case c = { .arch = open_arch(folder, task_of(folder), LABELS),
               .lora = settings("{\"target_modules\": \"all-linear\"}") };
    read_rows(&b, folder);
    open_table(&c);
    must(slots_init(c.values, c.table, c.arch, &c.lora, 1, &err), &err);
    Weights weights = load(&c, folder);
    const ModelOptions o = {
        .most_tokens = b.start[ROWS], .most_sequences = ROWS, .longest = MOST - 2, .threads = 1, .seed = 1
    };
    Model *model = model_open(c.arch, c.table, &weights, &o, &err);
    must(model != NULL, &err);
    const Batch batch = { .B = ROWS,
                          .N = b.start[ROWS],
                          .start = b.start,
                          .example = b.example,
                          .ids = b.ids,
                          .types = c.arch->types > 1 ? b.types : NULL };
    float logits[ROWS * MOST * LABELS] = { 0 };
    model_predict(model, &batch, c.values, logits);
    expect_logits(name, logits, &b);
    model_close(model);
    free(weights.data);
    weights_release(&weights);
    close_case(&c);
    free(folder);
}

static void logits_are_those_of_transformers(void **state)
{
    (void)state;
    DIR *folder = opendir(FOLDER);
    int count = 0;
    assert_non_null(folder);
    for (const struct dirent *one; (one = readdir(folder));) {
        if (!strchr(one->d_name, '-'))
            continue;
        check_variant(one->d_name);
        count++;
    }
    closedir(folder);
    assert_true(count >= 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(logits_are_those_of_transformers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
