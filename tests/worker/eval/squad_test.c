/* Scores of answers beside Python's: fixtures/squad.jsonl holds odd texts with their normal form, exact match and F1 by the
 * formulas of evaluate's squad and squad_v2 (str.lower, re, collections.Counter). */
#include "worker/eval/squad.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static SquadText text_of(const json_t *v)
{
    return (SquadText){ json_string_value(v), json_string_length(v) };
}

static void check_row(const json_t *row, int64_t line)
{
    const json_t *list = json_object_get(row, "wanted");
    const size_t count = json_array_size(list);
    const SquadText given = text_of(json_object_get(row, "given")), normal = text_of(json_object_get(row, "normal"));
    SquadText *wanted = xcalloc(count + 1, sizeof *wanted);
    Text mine = { 0 };
    for (size_t i = 0; i < count; i++)
        wanted[i] = text_of(json_array_get(list, i));
    squad_normal(&mine, given.data, given.size);
    if (mine.size != normal.size || (mine.size > 0 && memcmp(mine.data, normal.data, mine.size) != 0))
        fail_msg("line %lld: '%s' instead of '%s'", (long long)line, mine.data ? mine.data : "", normal.data);
    const SquadScore s = squad_score(given, wanted, (int64_t)count, json_is_true(json_object_get(row, "impossible")));
    assert_float_equal(s.exact, json_number_value(json_object_get(row, "exact")), 0);
    assert_float_equal(s.f1, json_number_value(json_object_get(row, "f1")), 1e-12);
    text_release(&mine);
    free(wanted);
}

static void texts_and_scores_are_those_of_python(void **state)
{
    (void)state;
    Err err = { 0 };
    char *text = file_read("tests/worker/eval/fixtures/squad.jsonl", NULL, &err);
    must(text != NULL, &err);
    int64_t line = 0;
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *row = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
        assert_non_null(row);
        check_row(row, ++line);
        json_decref(row);
    }
    assert_int_equal(line, 500);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts_and_scores_are_those_of_python) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
