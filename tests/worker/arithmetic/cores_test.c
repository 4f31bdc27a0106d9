#include "worker/arithmetic/cores.h"

#include "worker/kernels/levels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int place(const char *level)
{
    return levels_find(level) ? (int)(levels_find(level) - levels) : -1;
}

static void names_are_found_in_any_case(void **state)
{
    (void)state;
    assert_string_equal(cores_find("haswell")->name, "Haswell");
    assert_string_equal(cores_find("SKYLAKEX")->name, "SkylakeX");
    assert_null(cores_find("Nonsense"));
    assert_null(cores_find(""));
}

static void a_level_s_core_is_the_fastest_that_it_has_the_instructions_of(void **state)
{
    (void)state;
    if (place("x86-64-v2") < 0)
        skip();
    assert_string_equal(cores_best(place("x86-64-v4"))->name, "SkylakeX");
    assert_string_equal(cores_best(place("x86-64-v3"))->name, "Haswell");
    assert_string_equal(cores_best(place("x86-64-v2"))->name, "Nehalem");
    assert_true(cores_fit(cores_find("Nehalem"), place("x86-64-v4")));
    assert_false(cores_fit(cores_find("SkylakeX"), place("x86-64-v3")));
}

static void cores_without_a_level_s_instructions_are_far_below_it(void **state)
{
    (void)state;
    if (place("x86-64-v2") < 0)
        skip();
    const char *const old[] = { "Sandybridge", "Barcelona", "Nehalem",   "Prescott",   "Penryn",
                                "Core2",       "Atom",      "Bulldozer", "Piledriver", "Opteron" };
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        assert_true(cores_far_below(cores_find(old[i]), place("x86-64-v4")));
        assert_true(cores_far_below(cores_find(old[i]), place("x86-64-v3")));
        assert_false(cores_far_below(cores_find(old[i]), place("x86-64-v2")));
    }
    assert_true(cores_far_below(cores_find("Zen"), place("x86-64-v4")));
    assert_false(cores_far_below(cores_find("Zen"), place("x86-64-v3")));
    assert_false(cores_far_below(cores_find("Cooperlake"), place("x86-64-v4")));
}

/* A level that fits has its cores: all that we choose from but those that need more. */
static void what_a_cpu_can_do_it_can_do_by_cores_too(void **state)
{
    (void)state;
    for (int i = 0; i < level_count; i++)
        if (cores_best(i))
            assert_true(!levels[i].fits() || cores_best(i)->runs());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_in_any_case),
        cmocka_unit_test(a_level_s_core_is_the_fastest_that_it_has_the_instructions_of),
        cmocka_unit_test(cores_without_a_level_s_instructions_are_far_below_it),
        cmocka_unit_test(what_a_cpu_can_do_it_can_do_by_cores_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
