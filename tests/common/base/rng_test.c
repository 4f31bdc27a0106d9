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

/* order[from, ...) is the list. */
static void expect_part(const uint32_t *order, int64_t from, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        assert_int_equal(order[from + (int64_t)i], json_integer_value(json_array_get(list, i)));
}

/* CRC-32 as zlib's crc32(), bit by bit. */
static uint32_t crc32_of(const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Short ones are listed whole; of a long one both ends, and a checksum of its little-endian bytes. */
static void check(const json_t *row)
{
    const int64_t n = json_integer_value(json_object_get(row, "n"));
    const json_t *whole = json_object_get(row, "order"), *last = json_object_get(row, "last");
    uint32_t *order = xcalloc((size_t)n + 1, sizeof *order);
    rng_torch_randperm(order, n, (uint64_t)json_integer_value(json_object_get(row, "seed")));
    if (whole) {
        assert_int_equal(json_array_size(whole), n);
        expect_part(order, 0, whole);
    } else {
        assert_true(json_array_size(last) > 0);
        expect_part(order, 0, json_object_get(row, "first"));
        expect_part(order, n - (int64_t)json_array_size(last), last);
        assert_int_equal(crc32_of(order, (size_t)n * sizeof *order),
                         json_integer_value(json_object_get(row, "crc32_le_u32")));
    }
    free(order);
}

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
        check(row);
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
