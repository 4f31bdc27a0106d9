/* Which end of the workers is worth another start, and what they find in their environment. */
#include "launch/workers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void what_would_be_said_again_is_not_started_again(void **state)
{
    (void)state;
    const int final[] = { 0, 2, 4, 5 }; /* over; bad input, refused, not finite */
    const int by_chance[] = { 1, 3, 126, 127, 134, 137, 139, 143 };
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        assert_false(workers_again(final[i]));
    for (size_t i = 0; i < sizeof by_chance / sizeof *by_chance; i++)
        assert_true(workers_again(by_chance[i]));
}

static void forget(void)
{
    static const char *const names[] = { "OMP_NUM_THREADS", "OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_btl",
                                         "OMPI_MCA_rmaps_base_oversubscribe" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

static void expect_environment(int64_t ranks, int64_t cores, const char *threads, const char *binding)
{
    forget();
    workers_environment(ranks, cores);
    assert_string_equal(getenv("OMP_NUM_THREADS"), threads);
    assert_string_equal(getenv("OMPI_MCA_hwloc_base_binding_policy"), binding);
}

/* Binding to cores helps ranks of one thread that have one each, and starves all others. */
static void ranks_share_the_cores(void **state)
{
    (void)state;
    expect_environment(2, 2, "1", "core");
    expect_environment(3, 4, "1", "core");
    expect_environment(1, 8, "8", "none");
    expect_environment(2, 8, "4", "none");
    expect_environment(3, 8, "2", "none");
    expect_environment(16, 4, "1", "none"); /* more ranks than cores */
}

static void what_the_user_has_set_stays(void **state)
{
    (void)state;
    forget();
    setenv("OMP_NUM_THREADS", "7", 1);
    setenv("OMPI_MCA_btl", "self,tcp", 1);
    workers_environment(1, 2);
    assert_string_equal(getenv("OMP_NUM_THREADS"), "7");
    assert_string_equal(getenv("OMPI_MCA_btl"), "self,tcp");
    assert_string_equal(getenv("OMPI_MCA_rmaps_base_oversubscribe"), "1");
    forget();
}

static void a_machine_without_mpirun_is_told_what_is_missing(void **state)
{
    (void)state;
    Err err = { 0 };
    setenv("PATH", "/nonexistent", 1);
    int heard;
    assert_int_equal(workers_start(2, "tcp://127.0.0.1:1", &heard, &err), -1);
    assert_int_equal(heard, -1);
    assert_int_equal(err_exit_code(&err), 1);
    assert_string_equal(err.what, "cannot start 'mpirun': No such file or directory");
    assert_string_equal(err.hint, "launch/setup installs Open MPI");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_be_said_again_is_not_started_again),
        cmocka_unit_test(ranks_share_the_cores),
        cmocka_unit_test(what_the_user_has_set_stays),
        cmocka_unit_test(a_machine_without_mpirun_is_told_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
