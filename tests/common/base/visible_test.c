/* Text of others on a terminal. */
#include "common/base/visible.h"

#include "common/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *text, const char *want)
{
    char got[256] = { 0 };
    FILE *out = fmemopen(got, sizeof got, "w");
    assert_non_null(out);
    visible_print(out, text);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(got, want);
    Text text_so_far = { 0 };
    text_adds(&text_so_far, "- ");
    visible_add(&text_so_far, text);
    assert_string_equal(text_so_far.data + 2, want);
    text_release(&text_so_far);
}

static void what_a_terminal_would_obey_is_an_escape(void **state)
{
    (void)state;
    expect("", "");
    expect("a film, \"good\" C:\\new \xc3\xa9\xe7\x94\xb5\xf0\x9f\x8e\xac",
           "a film, \"good\" C:\\new \xc3\xa9\xe7\x94\xb5\xf0\x9f\x8e\xac");
    expect("line\nbreak\r\tend", "line\\nbreak\\r\\tend");
    expect("go\x1b[31mod\x7f\x01", "go\\x1b[31mod\\x7f\\x01");
    expect("a\xc2\x9b"
           "31m\xc2\xa0"
           "b\xc2",
           "a\\x9b31m\xc2\xa0"
           "b\xc2"); /* U+009B is ESC [ of eight bits, U+00A0 a space */
}

static void an_error_is_three_lines_whatever_stands_in_it(void **state)
{
    (void)state;
    Err err = { 0 };
    char got[256] = { 0 };
    err_set(&err, ERR_INPUT, "'%s' is not one of the 2 labels", "line\nbreak");
    err_hint(&err, "the labels are %s", "a\x1b[2J, b");
    err_at(&err, "rows\n.csv:2");
    FILE *out = fmemopen(got, sizeof got, "w");
    err_print(&err, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(got, "error: 'line\\nbreak' is not one of the 2 labels\n  at: rows\\n.csv:2\n"
                             "  try: the labels are a\\x1b[2J, b\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_an_escape),
        cmocka_unit_test(an_error_is_three_lines_whatever_stands_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
