/* Rows of tables of distances, beside those of Transformers' own float32 code (tests/golden/families). */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/arch.h"
#include "tests/support/folder.h"
#include "tests/support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static ModelArch *open_config(json_t *config)
{
    Err err = { 0 };
    const StringList none = { 0 };
    char *folder = test_folder_new(), *path = path_join(folder, "config.json");
    must(json_write(path, config, &err), &err);
    ModelArch *arch = arch_open(folder, NULL, TASK_SEQ_CLS, &none, 3, PROBLEM_AUTO, &err);
    must(arch != NULL, &err);
    test_folder_drop(folder);
    free(path);
    json_decref(config);
    return arch;
}

/* Distances are key minus query in the one family, query minus key in the other. */
static void expect_row(const ModelArch *arch, int64_t distance, int64_t bucket)
{
    const int64_t span = arch->distance_span, row = span + bucket;
    const int64_t wanted = span == 0 ? bucket : row < 0 ? 0 : row >= 2 * span ? 2 * span - 1 : row;
    const int64_t got = span == 0 ? arch_score_row(arch, distance) : arch_distance_row(arch, distance);
    if (got != wanted)
        fail_msg("distance %lld: row %lld instead of %lld", (long long)distance, (long long)got, (long long)wanted);
}

static void rows_are_those_of_transformers(void **state)
{
    (void)state;
    Err err = { 0 };
    char *text = file_read("tests/golden/families/encoder_buckets.jsonl", NULL, &err), *rest = text, *line;
    must(text != NULL, &err);
    int count = 0;
    while ((line = strsep(&rest, "\n")) && *line) {
        json_t *row = json_loads(line, 0, NULL);
        const json_t *size = json_object_get(row, "position_buckets"), *list = json_object_get(row, "buckets");
        ModelArch *arch =
            open_config(size ? json_pack("{s:s, s:b, s:O, s:O}", "model_type", "deberta-v2", "relative_attention", 1,
                                         "position_buckets", size, "max_relative_positions",
                                         json_object_get(row, "max_relative_positions"))
                             : json_pack("{s:s}", "model_type", "mpnet"));
        const int64_t first = json_integer_value(json_object_get(row, "first"));
        for (size_t i = 0; i < json_array_size(list); i++)
            expect_row(arch, first + (int64_t)i, json_integer_value(json_array_get(list, i)));
        count += json_array_size(list) > 1000;
        arch_close(arch);
        json_decref(row);
    }
    assert_true(count >= 5);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rows_are_those_of_transformers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
