#include "common/base/numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void lists_keep_what_was_added_in_order(void **state)
{
    (void)state;
    Int32s list = { 0 };
    Int64s far = { 0 };
    Floats reals = { 0 };
    const int32_t some[] = { -1, 2, 3 };
    for (int i = 0; i < 100; i++) {
        int32s_add(&list, some, 3);
        int32s_put(&list, i);
        int64s_put(&far, (int64_t)i << 40);
        floats_add(&reals, (const float[]){ (float)i, 0.5f }, 2);
    }
    assert_int_equal(list.count, 400);
    assert_int_equal(far.count, 100);
    assert_int_equal(reals.count, 200);
    for (int i = 0; i < 100; i++) {
        assert_memory_equal(list.data + 4 * i, some, sizeof some);
        assert_int_equal(list.data[4 * i + 3], i);
        assert_true(far.data[i] == (int64_t)i << 40);
        assert_true(reals.data[2 * i] == (float)i && reals.data[2 * i + 1] == 0.5f);
    }
    int32s_release(&list);
    int64s_release(&far);
    floats_release(&reals);
    assert_null(list.data);
}

static void the_first_numbers_can_be_dropped(void **state)
{
    (void)state;
    Int32s list = { 0 };
    int32s_drop(&list, 0);
    for (int i = 0; i < 10; i++)
        int32s_put(&list, i);
    int32s_drop(&list, 7);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.data[0], 7);
    int32s_drop(&list, 3);
    assert_int_equal(list.count, 0);
    int32s_release(&list);
}

static void nothing_added_takes_no_memory(void **state)
{
    (void)state;
    Int32s list = { 0 };
    Floats reals = { 0 };
    int32s_add(&list, NULL, 0);
    floats_add(&reals, NULL, 0);
    assert_null(list.data);
    assert_null(reals.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keep_what_was_added_in_order),
        cmocka_unit_test(the_first_numbers_can_be_dropped),
        cmocka_unit_test(nothing_added_takes_no_memory),
    };
    return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
