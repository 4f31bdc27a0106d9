#include "worker/arithmetic/arithmetic.h"

#include "worker/kernels/blas.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/levels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_level_of_this_cpu_can_be_started_again_and_again(void **state)
{
    (void)state;
    uint64_t first[8];
    REQUIRE(level_count <= 8);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < level_count; i++) {
            Arithmetic arithmetic;
            Err err = { 0 };
            if (!levels[i].fits())
                continue;
            assert_true(arithmetic_start(&arithmetic, levels[i].name, &err));
            assert_ptr_equal(kernels, levels[i].kernels);
            assert_int_equal(strncmp(arithmetic.name, levels[i].name, strlen(levels[i].name)), 0);
            if (round == 0)
                first[i] = arithmetic.fingerprint;
            assert_true(arithmetic.fingerprint == first[i]);
        }
}

static void threads_do_not_change_the_fingerprint(void **state)
{
    (void)state;
    Arithmetic one, three;
    Err err = { 0 };
    gemm_set_threads(1);
    assert_true(arithmetic_start(&one, NULL, &err));
    gemm_set_threads(3);
    assert_true(arithmetic_start(&three, NULL, &err));
    gemm_set_threads(1);
    assert_true(one.fingerprint == three.fingerprint);
}

static void what_this_machine_cannot_do_is_refused_with_what_it_can(void **state)
{
    (void)state;
    Arithmetic arithmetic;
    const char *const names[] = { "x86-64-v9", "portable-v2", "x86-64-v2/Nothing" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Err err = { 0 };
        if (strchr(names[i], '/') && (getenv("OPENBLAS_CORETYPE") || !levels_find("x86-64-v2")))
            continue; /* that core is then taken whatever is asked for */
        assert_false(arithmetic_start(&arithmetic, names[i], &err));
        assert_int_equal(err.kind, ERR_REFUSED);
        assert_non_null(strstr(err.what, names[i]));
        assert_non_null(strstr(err.hint, levels[level_count - 1].name));
    }
}

static void another_fingerprint_is_refused_with_both(void **state)
{
    (void)state;
    Err err = { 0 };
    const Arithmetic arithmetic = { "x86-64-v3", 0xabc };
    assert_true(arithmetic_check(&arithmetic, "x86-64-v3", "0000000000000abc", &err));
    assert_false(arithmetic_check(&arithmetic, "x86-64-v3", "0000000000000abd", &err));
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_non_null(strstr(err.what, "0000000000000abc"));
    assert_non_null(strstr(err.what, "0000000000000abd"));
}

static void the_variable_that_decides_the_core_is_as_it_was(void **state)
{
    (void)state;
    Err err = { 0 };
    char *before = getenv("OPENBLAS_CORETYPE") ? strdup(getenv("OPENBLAS_CORETYPE")) : NULL;
    assert_true(blas_load("Nehalem", &err));
    assert_true(before ? strcmp(getenv("OPENBLAS_CORETYPE"), before) == 0 : getenv("OPENBLAS_CORETYPE") == NULL);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_of_this_cpu_can_be_started_again_and_again),
        cmocka_unit_test(threads_do_not_change_the_fingerprint),
        cmocka_unit_test(what_this_machine_cannot_do_is_refused_with_what_it_can),
        cmocka_unit_test(another_fingerprint_is_refused_with_both),
        cmocka_unit_test(the_variable_that_decides_the_core_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
