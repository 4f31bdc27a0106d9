/* The data order of torch's generator. */
#include "common/base/rng.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char golden[] = "tests/golden/torch-order/randperm.jsonl";

static void every_permutation_is_torchs(void **state)
{
    (void)state;
    Err err = { 0 };
    char *text = file_read(golden, NULL, &err), *rest = NULL;
    assert_non_null(text);
    int lines = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++) {
        json_t *row = json_bytes(line, strlen(line), golden, &err);
        assert_non_null(row);
        const json_t *wanted = json_object_get(row, "order");
        const int64_t n = json_integer_value(json_object_get(row, "n"));
        const uint64_t seed = (uint64_t)json_integer_value(json_object_get(row, "seed"));
        assert_int_equal(json_array_size(wanted), n);
        uint32_t *order = xcalloc((size_t)n + 1, sizeof *order);
        rng_torch_randperm(order, n, seed);
        for (int64_t i = 0; i < n; i++)
            assert_int_equal(order[i], json_integer_value(json_array_get(wanted, (size_t)i)));
        free(order);
        json_decref(row);
    }
    assert_true(lines > 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_permutation_is_torchs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
