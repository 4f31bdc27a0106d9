/* JSON files as other tools write them. */
#include "common/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static json_t *read(const char *text)
{
    Err err = { 0 };
    json_t *value = json_bytes(text, strlen(text), "x.json", &err);
    if (!value)
        err_print(&err, stderr);
    assert_non_null(value);
    return value;
}

static void integers_beyond_64_bits_are_reals(void **state)
{
    (void)state;
    json_t *v = read("{\"most\": 1000000000000000019884624838656, \"least\": -99999999999999999999,\n"
                     " \"text\": \"12345678901234567890123 \\\" 1\", \"fits\": 9223372036854775807,"
                     " \"real\": 12345678901234567890.5, \"one\": 1}");
    Err err = { 0 };
    assert_true(json_get_real(v, "most", 0, &err) > 0.999e30 && json_get_real(v, "most", 0, &err) < 1.001e30);
    assert_true(json_get_real(v, "least", 0, &err) < -9.9e19);
    assert_string_equal(json_get_string(v, "text", "", &err), "12345678901234567890123 \" 1");
    assert_int_equal(json_get_int(v, "one", 0, &err), 1);
    assert_true(json_get_real(v, "real", 0, &err) > 1.2e19);
    assert_int_equal(err.kind, ERR_NONE);
    json_decref(v);
}

static void what_follows_a_huge_integer_is_still_checked(void **state)
{
    (void)state;
    const char *const bad[] = { "{\"a\": 99999999999999999999 \"b\": 1}", "99999999999999999999x",
                                "[99999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Err err = { 0 };
        assert_null(json_bytes(bad[i], strlen(bad[i]), "x.json", &err));
        assert_int_equal(err.kind, ERR_INPUT);
        assert_non_null(strstr(err.where, "x.json:1:"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_beyond_64_bits_are_reals),
        cmocka_unit_test(what_follows_a_huge_integer_is_still_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
