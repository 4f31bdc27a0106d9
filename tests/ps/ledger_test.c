#include "ps/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void steps_that_were_overtaken_are_missing_until_they_come(void **state)
{
    (void)state;
    static const int64_t order[] = { 0, 3, 1, 5, 2, 4 };
    static const int missing[] = { 0, 2, 1, 2, 1, 0 };
    StepLedger ledger = { 0 };
    for (int i = 0; i < 6; i++) {
        assert_true(ledger_wants(&ledger, order[i]));
        ledger_add(&ledger, order[i]);
        assert_false(ledger_wants(&ledger, order[i]));
        assert_int_equal(ledger.count, missing[i]);
        assert_int_equal(ledger.next - ledger.count, i + 1);
    }
    assert_false(ledger_wants(&ledger, INT64_MAX));
    assert_false(ledger_wants(&ledger, -1));
    ledger_release(&ledger);
}

static void a_ledger_is_read_as_it_was_written(void **state)
{
    (void)state;
    StepLedger ledger = { 0 }, read = { 0 };
    Err err = { 0 };
    ledger_add(&ledger, 7);
    ledger_add(&ledger, 2);
    json_t *list = ledger_json(&ledger);
    assert_true(ledger_take(&read, 2, list, &err));
    for (int64_t i = 0; i < 10; i++)
        assert_int_equal(ledger_wants(&read, i), i != 7 && i != 2);
    assert_true(ledger_take(&read, 5, NULL, &err));
    assert_int_equal(read.next, 5);
    assert_int_equal(read.count, 0);
    json_decref(list);
    ledger_release(&ledger);
    ledger_release(&read);
}

static void lists_that_no_run_has_are_refused(void **state)
{
    (void)state;
    static const char *const lists[] = { "[3, 3]", "[4, 3]", "[-1]", "[9]", "[\"1\"]", "[1.5]", "{}" };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        StepLedger ledger = { 0 };
        Err err = { 0 };
        json_t *list = json_loads(lists[i], 0, NULL);
        assert_false(ledger_take(&ledger, 4, list, &err));
        json_decref(list);
        ledger_release(&ledger);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_that_were_overtaken_are_missing_until_they_come),
        cmocka_unit_test(a_ledger_is_read_as_it_was_written),
        cmocka_unit_test(lists_that_no_run_has_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
