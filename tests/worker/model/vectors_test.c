/* Sentence embeddings of every family with a bare model (golden/vectors): the mean, the first and the last row are those of
 * Transformers, whether a row stands alone or beside another. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/model_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 2, MOST = 64, KINDS = 3 };

typedef struct Texts {
    int32_t ids[MOST];
    int64_t start[ROWS + 1], example[ROWS];
} Texts;

static Texts read_texts(const json_t *rows)
{
    Texts t = { .example = { 0, 1 } };
    for (size_t b = 0; b < ROWS; b++) {
        const json_t *row = json_array_get(rows, b);
        t.start[b + 1] = t.start[b] + (int64_t)json_array_size(row);
        assert_true(t.start[b + 1] <= MOST);
        for (size_t i = 0; i < json_array_size(row); i++)
            t.ids[t.start[b] + (int64_t)i] = (int32_t)json_integer_value(json_array_get(row, i));
    }
    return t;
}

static void expect_vector(const char *name, int kind, const float *got, const json_t *want)
{
    assert_true(json_array_size(want) > 0);
    for (size_t c = 0; c < json_array_size(want); c++) {
        const double wanted = json_number_value(json_array_get(want, c));
        if (!(fabs((double)got[c] - wanted) < 3e-5))
            fail_msg("%s: pooling %d: number %zu is %g instead of %g", name, kind, c, (double)got[c], wanted);
    }
}

static void check_pooling(Subject *s, int kind, const Texts *t, const json_t *vectors)
{
    static const Pooling poolings[KINDS] = { POOLING_MEAN, POOLING_CLS, POOLING_LAST };
    Err err = { 0 };
    ModelArch *arch = s->c.arch;
    const int64_t C = arch->C;
    arch_embed(arch, &(EmbedHead){ .how = { .pooling = poolings[kind], .normalize = NORMALIZE_NO }, .columns = 1 });
    const ModelOptions o = {
        .most_tokens = MOST, .most_sequences = ROWS, .longest = MOST / 4, .threads = 1, .seed = 1
    };
    Model *model = model_open(arch, s->c.table, &s->weights, &o, &err);
    must(model != NULL, &err);
    float *out = xcalloc((size_t)(ROWS * C), sizeof *out);
    const Batch batch = { .B = ROWS, .N = t->start[ROWS], .start = t->start, .ids = t->ids, .example = t->example };
    model_predict(model, &batch, s->c.values, out);
    for (size_t b = 0; b < ROWS; b++)
        expect_vector(s->name, kind, out + (int64_t)b * C, json_array_get(json_array_get(vectors, b), (size_t)kind));
    free(out);
    model_close(model);
}

static void check(const json_t *line)
{
    const char *name = json_string_value(json_object_get(line, "case"));
    const Texts texts = read_texts(json_object_get(line, "ids"));
    Err err = { 0 };
    Subject s = { .name = name };
    char *folder = file_of(&s, "model");
    s.c = (Case){ .arch = open_arch(folder, TASK_FEATURE_EXTRACTION, 0),
                  .lora = settings("{\"target_modules\": \"all-linear\"}") };
    open_table(&s.c);
    must(slots_init(s.c.values, s.c.table, s.c.arch, &s.c.lora, 1, &err), &err);
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    must(weights_plan_beside(&s.weights, s.c.table, NULL, files, PRECISION_FP32, &err), &err);
    s.weights.data = xcalloc(1, (size_t)s.weights.bytes);
    must(weights_load(&s.weights, files, 0, 1, &err), &err);
    safetensors_close(files);
    for (int kind = 0; kind < KINDS; kind++)
        check_pooling(&s, kind, &texts, json_object_get(line, "vectors"));
    free(s.weights.data);
    weights_release(&s.weights);
    close_case(&s.c);
    free(folder);
}

static void vectors_are_those_of_transformers(void **state)
{
    (void)state;
    Err err = { 0 };
    char *text = file_read("tests/golden/vectors/expected.jsonl", NULL, &err), *rest = text, *one;
    must(text != NULL, &err);
    int count = 0;
    while ((one = strsep(&rest, "\n")) && *one) {
        json_t *line = json_loads(one, 0, NULL);
        assert_non_null(line);
        check(line);
        json_decref(line);
        count++;
    }
    assert_true(count >= 30);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vectors_are_those_of_transformers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
