#include "common/wire/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The name says how to follow; what is compared are the bits. */
static void fingerprints_are_compared_and_names_are_not(void **state)
{
    (void)state;
    const HelloFacts run = { .fingerprint = 0xabc, .arithmetic = "level-1", .host = "first" };
    HelloFacts worker = { .fingerprint = 0xabc, .arithmetic = "level-2", .host = "second" };
    assert_null(facts_differ(&worker, &run));
    assert_true(facts_plan(&worker, 1, 2) == facts_plan(&run, 1, 2));
    worker.fingerprint = 0xabd;
    char *differs = facts_differ(&worker, &run);
    assert_non_null(differs);
    assert_non_null(strstr(differs, "other arithmetic: level-2 with fingerprint 0000000000000abd on second"));
    assert_non_null(strstr(differs, "level-1 with fingerprint 0000000000000abc on first"));
    assert_true(facts_plan(&worker, 1, 2) != facts_plan(&run, 1, 2));
    free(differs);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(fingerprints_are_compared_and_names_are_not) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
