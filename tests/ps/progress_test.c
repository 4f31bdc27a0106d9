/* The bar of a run on terminals of all widths. */
#include "ps/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const ProgressFigures middle = { 750, 1500, 0.42134, 4420.4, 3725, 0, 0 };
static const ProgressFigures large = { 1234567, 98765432, 1234.5, 1234567, 360000, 0, 0 };
static const ProgressFigures evaluation = { .step = 750, .total = 1500, .evaluated = 34, .pieces = 80 };

static void the_bar_says_all_where_there_is_room(void **state)
{
    (void)state;
    char line[256];
    progress_draw(line, sizeof line, 80, &middle);
    assert_string_equal(line, "[##############.............] 750/1500 loss 0.4213 4420 tokens/s 1:02:05 left");
    assert_int_equal(strlen(line), 77);
    progress_draw(line, sizeof line, 200, &middle);
    assert_string_equal(line,
                        "[####################....................] 750/1500 loss 0.4213 4420 tokens/s 1:02:05 left");
}

static void a_narrow_terminal_has_less_of_it(void **state)
{
    (void)state;
    char line[256];
    progress_draw(line, sizeof line, 44, &middle);
    assert_string_equal(line, "[###..] 750/1500 loss 0.4213 1:02:05 left");
    progress_draw(line, sizeof line, 36, &middle);
    assert_string_equal(line, "750/1500 loss 0.4213 1:02:05 left");
    progress_draw(line, sizeof line, 30, &middle);
    assert_string_equal(line, "[##..] 750/1500 loss 0.4213");
    progress_draw(line, sizeof line, 12, &middle);
    assert_string_equal(line, "750/1500");
}

static void an_evaluation_says_where_it_is(void **state)
{
    (void)state;
    char line[256];
    progress_draw(line, sizeof line, 80, &evaluation);
    assert_string_equal(line, "[####################....................] 750/1500 evaluating 34/80");
    progress_draw(line, sizeof line, 30, &evaluation);
    assert_string_equal(line, "750/1500 evaluating 34/80");
    progress_draw(line, sizeof line, 20, &evaluation);
    assert_string_equal(line, "[###...] 750/1500");
}

static void no_terminal_is_too_narrow(void **state)
{
    (void)state;
    const ProgressFigures *const figures[] = { &middle, &large, &evaluation };
    char line[256];
    for (int f = 0; f < 3; f++) {
        for (int columns = 1; columns < 400; columns++) {
            progress_draw(line, sizeof line, columns, figures[f]);
            if ((columns > 3 ? (int)strlen(line) > columns - 3 : *line) || strpbrk(line, "\n\r\033"))
                fail_msg("%d columns: %s", columns, line);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bar_says_all_where_there_is_room),
        cmocka_unit_test(a_narrow_terminal_has_less_of_it),
        cmocka_unit_test(an_evaluation_says_where_it_is),
        cmocka_unit_test(no_terminal_is_too_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
