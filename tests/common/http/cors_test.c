/* Origins as browsers send them and as people write them. */
#include "common/http/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void pages_of_the_list_may_ask(void **state)
{
    (void)state;
    const char *const one[] = { "https://a.example", "http://localhost:3000", NULL }, *const all[] = { "*", NULL };
    assert_string_equal(cors_answer(one, "https://a.example"), "https://a.example");
    assert_string_equal(cors_answer(one, "http://LOCALHOST:3000"), "http://localhost:3000");
    assert_null(cors_answer(one, "https://a.example.org"));
    assert_null(cors_answer(one, "https://a.exampl"));
    assert_null(cors_answer(one, "http://a.example"));
    assert_null(cors_answer(one, "null"));
    assert_null(cors_answer(one, NULL));
    assert_null(cors_answer(NULL, "https://a.example"));
    assert_string_equal(cors_answer(all, "null"), "*");
}

static void an_origin_has_a_scheme_and_no_path(void **state)
{
    (void)state;
    assert_true(cors_is_origin("*"));
    assert_true(cors_is_origin("https://a.example"));
    assert_true(cors_is_origin("http://127.0.0.1:3000"));
    assert_false(cors_is_origin("a.example"));
    assert_false(cors_is_origin("https://"));
    assert_false(cors_is_origin("://a"));
    assert_false(cors_is_origin("https://a.example/"));
    assert_false(cors_is_origin("https://a,https://b"));
    assert_false(cors_is_origin("https://*.example"));
    assert_false(cors_is_origin(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_the_list_may_ask),
        cmocka_unit_test(an_origin_has_a_scheme_and_no_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
