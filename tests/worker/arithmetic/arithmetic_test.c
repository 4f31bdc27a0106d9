#include "worker/arithmetic/arithmetic.h"

#include "tests/support/halves.h"
#include "worker/arithmetic/cores.h"
#include "worker/arithmetic/fingerprint.h"
#include "worker/kernels/blas.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/levels.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Sets a variable, or takes it away; what it was, for put_back. */
static char *set(const char *name, const char *value)
{
    char *before = getenv(name) ? strdup(getenv(name)) : NULL;
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
    return before;
}

static void put_back(const char *name, char *before)
{
    free(set(name, before));
    free(before);
}

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
            assert_true(arithmetic_start(&arithmetic, levels[i].name, false, true, &err));
            assert_ptr_equal(kernels, levels[i].kernels);
            assert_int_equal(strncmp(arithmetic.name, levels[i].name, strlen(levels[i].name)), 0);
            if (round == 0)
                first[i] = arithmetic.fingerprint;
            assert_true(arithmetic.fingerprint == first[i]);
        }
}

static void a_base_of_less_than_floats_is_multiplied_in_bf16_where_that_can_be(void **state)
{
    (void)state;
    Arithmetic floats, packed, named;
    Err err = { 0 };
    char *before = set("LORA_ARITHMETIC", NULL);
    assert_true(arithmetic_start(&floats, "auto", false, true, &err));
    assert_null(bf16_products);
    assert_true(arithmetic_start(&packed, "auto", true, true, &err));
    assert_ptr_equal(bf16_products, halves_level(0) ? halves_level(0)->bf16 : NULL);
    assert_true((packed.fingerprint == floats.fingerprint) == !halves_level(0));
    assert_true(arithmetic_start(&named, floats.name, true, true, &err)); /* as it is asked for */
    assert_null(bf16_products);
    put_back("LORA_ARITHMETIC", before);
}

/* A CPU, or a compiler, whose last sum is off. */
static void wrong_product(float *y, int64_t ldy, const float *x, int64_t ldx, const uint16_t *w, int64_t N, int64_t O,
                          int64_t I, float beta, float *room)
{
    halves_level(0)->bf16->nt(y, ldy, x, ldx, w, N, O, I, beta, room);
    y[(N - 1) * ldy + O - 1] += 1e-3f;
}

static void products_in_bf16_that_are_wrong_are_found_out(void **state)
{
    (void)state;
    if (!halves_level(0))
        skip();
    char said[200];
    uint64_t digest = 1, again = 1, wrong = 1;
    Bf16Products products = *halves_level(0)->bf16;
    assert_true(fingerprint_bf16(&digest, &products, said, sizeof said));
    assert_true(fingerprint_bf16(&again, &products, said, sizeof said));
    assert_true(digest == again);
    products.nt = wrong_product;
    assert_false(fingerprint_bf16(&wrong, &products, said, sizeof said));
    assert_non_null(strstr(said, "a product of 3 x 7 x 5 gives"));
}

static void threads_do_not_change_the_fingerprint(void **state)
{
    (void)state;
    Arithmetic one, three;
    Err err = { 0 };
    gemm_set_threads(1);
    assert_true(arithmetic_start(&one, NULL, false, true, &err));
    gemm_set_threads(3);
    assert_true(arithmetic_start(&three, NULL, false, true, &err));
    gemm_set_threads(1);
    assert_true(one.fingerprint == three.fingerprint);
}

static void what_this_machine_cannot_do_is_refused_with_what_it_can(void **state)
{
    (void)state;
    Arithmetic arithmetic;
    const char *const names[] = { "x86-64-v9", "portable-v2", "x86-64-v2/Nothing" };
    char *before = set("OPENBLAS_CORETYPE", NULL); /* that core is taken whatever is asked for */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Err err = { 0 };
        if (strchr(names[i], '/') && !levels_find("x86-64-v2"))
            continue;
        assert_false(arithmetic_start(&arithmetic, names[i], false, true, &err));
        assert_int_equal(err.kind, ERR_REFUSED);
        assert_non_null(strstr(err.what, names[i]));
        assert_non_null(strstr(err.hint, "--parallel.arithmetic=auto"));
        assert_non_null(strstr(err.hint, levels[level_count - 1].name));
    }
    put_back("OPENBLAS_CORETYPE", before);
}

static void who_asked_for_it_is_said(void **state)
{
    (void)state;
    Arithmetic arithmetic;
    char *before = set("LORA_ARITHMETIC", "x86-64-v9");
    const char *const names[] = { "auto", NULL, "x86-64-v8" };
    const char *const said[] = { "LORA_ARITHMETIC is 'x86-64-v9'", "LORA_ARITHMETIC is 'x86-64-v9'",
                                 "parallel.arithmetic is 'x86-64-v8'" };
    for (int i = 0; i < 3; i++) {
        Err err = { 0 };
        assert_false(arithmetic_start(&arithmetic, names[i], false, true, &err));
        assert_int_equal(err.kind, ERR_REFUSED);
        assert_ptr_equal(strstr(err.what, said[i]), err.what);
    }
    put_back("LORA_ARITHMETIC", before);
}

/* The lowest level of this program that has cores by name, and one of them. */
static const Core *usual_core(const Level **level)
{
    for (int i = level_count - 1; i >= 0; i--)
        if (levels[i].fits() && cores_best(i)) {
            *level = &levels[i];
            return cores_best(i);
        }
    return NULL;
}

static void names_of_cores_are_taken_in_any_case(void **state)
{
    (void)state;
    Arithmetic plain, named, users;
    Err err = { 0 };
    const Level *level = NULL;
    const Core *core = usual_core(&level);
    if (!core)
        skip();
    char small[32], name[64];
    for (size_t i = 0; i <= strlen(core->name); i++)
        small[i] = (char)tolower((unsigned char)core->name[i]);
    snprintf(name, sizeof name, "%s/%s", level->name, small);
    char *before = set("OPENBLAS_CORETYPE", NULL);
    assert_true(arithmetic_start(&plain, level->name, false, true, &err));
    assert_true(arithmetic_start(&named, name, false, true, &err));
    assert_string_equal(named.name, name);
    setenv("OPENBLAS_CORETYPE", small, 1);
    assert_true(arithmetic_start(&users, level->name, false, true, &err));
    assert_string_equal(users.name, level->name);
    assert_true(plain.fingerprint == named.fingerprint && plain.fingerprint == users.fingerprint);
    assert_true(arithmetic_follow(&users, name, &err)); /* the variable names that very core */
    snprintf(name, sizeof name, "%s/%s", level->name, core->name);
    assert_true(arithmetic_follow(&users, name, &err));
    assert_string_equal(users.name, name);
    put_back("OPENBLAS_CORETYPE", before);
}

/* The library would take one by its list of CPU models. */
static void a_core_that_the_library_does_not_know_is_not_heeded(void **state)
{
    (void)state;
    Arithmetic usual, arithmetic;
    Err err = { 0 };
    char *before = set("OPENBLAS_CORETYPE", NULL);
    assert_true(arithmetic_start(&usual, NULL, false, true, &err));
    setenv("OPENBLAS_CORETYPE", "Nonsense", 1);
    assert_true(arithmetic_start(&arithmetic, NULL, false, true, &err));
    assert_string_equal(arithmetic.name, usual.name);
    assert_true(arithmetic.fingerprint == usual.fingerprint);
    put_back("OPENBLAS_CORETYPE", before);
}

/* OpenBLAS would run it, and die of an illegal instruction. */
static void a_core_that_this_cpu_cannot_run_is_refused(void **state)
{
    (void)state;
    Arithmetic arithmetic;
    const char *const names[] = { "Opteron", "Bulldozer", "Cooperlake", "SkylakeX", "Haswell", "Sandybridge" };
    char *before = set("OPENBLAS_CORETYPE", NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const Core *core = cores_find(names[i]);
        if (core->runs() || !levels_find(core->level))
            continue;
        Err err = { 0 };
        setenv("OPENBLAS_CORETYPE", names[i], 1);
        assert_false(arithmetic_start(&arithmetic, NULL, false, true, &err));
        assert_int_equal(err.kind, ERR_REFUSED);
        assert_non_null(strstr(err.what, names[i]));
        assert_non_null(strstr(err.what, "this CPU has not the instructions"));
        assert_string_equal(err.hint, "unset OPENBLAS_CORETYPE");
    }
    put_back("OPENBLAS_CORETYPE", before);
}

static void another_fingerprint_is_refused_with_both(void **state)
{
    (void)state;
    Err err = { 0 };
    const Arithmetic arithmetic = { "x86-64-v3", 0xabc, true };
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
        cmocka_unit_test(a_base_of_less_than_floats_is_multiplied_in_bf16_where_that_can_be),
        cmocka_unit_test(products_in_bf16_that_are_wrong_are_found_out),
        cmocka_unit_test(threads_do_not_change_the_fingerprint),
        cmocka_unit_test(what_this_machine_cannot_do_is_refused_with_what_it_can),
        cmocka_unit_test(who_asked_for_it_is_said),
        cmocka_unit_test(names_of_cores_are_taken_in_any_case),
        cmocka_unit_test(a_core_that_the_library_does_not_know_is_not_heeded),
        cmocka_unit_test(a_core_that_this_cpu_cannot_run_is_refused),
        cmocka_unit_test(another_fingerprint_is_refused_with_both),
        cmocka_unit_test(the_variable_that_decides_the_core_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
