/* A program's words and its code; one that cannot start, and one that does not end. */
#include "common/base/capture.h"

#include "common/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool shell(const char *script, double seconds, Text *out, int *code, Err *err)
{
    char sh[] = "sh", c[] = "-c", words[256];
    strncpy(words, script, sizeof words - 1);
    words[sizeof words - 1] = '\0';
    char *argv[] = { sh, c, words, NULL };
    return capture_run(argv, seconds, out, code, err);
}

static void both_streams_and_the_code_are_kept(void **state)
{
    (void)state;
    Text out = { 0 };
    Err err = { 0 };
    int code = -1;
    assert_true(shell("echo one; echo two >&2; exit 3", 10, &out, &code, &err));
    assert_string_equal(out.data, "one\ntwo\n");
    assert_int_equal(code, 3);
    text_clear(&out);
    assert_true(shell("kill -9 $$", 10, &out, &code, &err));
    assert_int_equal(code, 137);
    assert_int_equal(out.size, 0);
    assert_true(shell("head -c 300000 /dev/zero", 10, &out, &code, &err)); /* more than a pipe holds */
    assert_int_equal(out.size, 300000);
    text_release(&out);
}

static void what_is_not_there_is_an_error(void **state)
{
    (void)state;
    char name[] = "no-such-program";
    char *argv[] = { name, NULL };
    Text out = { 0 };
    Err err = { 0 };
    int code;
    assert_false(capture_run(argv, 10, &out, &code, &err));
    assert_string_equal(err.what, "cannot start 'no-such-program': No such file or directory");
    text_release(&out);
}

static void what_does_not_end_is_ended_with_its_children(void **state)
{
    (void)state;
    Text out = { 0 };
    Err err = { 0 };
    int code;
    const double begin = clock_now();
    assert_false(shell("echo begun; sleep 50 & wait", 0.2, &out, &code, &err));
    assert_true(clock_now() - begin < 5);
    assert_string_equal(err.what, "'sh' has not ended after 0 s");
    assert_string_equal(out.data, "begun\n");
    text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_streams_and_the_code_are_kept),
        cmocka_unit_test(what_is_not_there_is_an_error),
        cmocka_unit_test(what_does_not_end_is_ended_with_its_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
