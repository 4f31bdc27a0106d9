#include "worker/kernels/blas.h"

#include "tests/worker/kernels/support.h"
#include "worker/kernels/gemm.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of this process. */
static int threads_count(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* Large enough that the library would share it out, if it were let. */
static void a_product_is_computed_by_the_thread_that_asks(void **state)
{
    (void)state;
    enum { SIZE = 600 };
    float *x = random_new(SIZE * SIZE, 1, 1), *y = guarded_new(SIZE * SIZE);
    const int before = threads_count();
    gemm_set_threads(4);
    blas_sgemm(false, true, SIZE, SIZE, SIZE, 1, x, SIZE, x, SIZE, 0, y, SIZE);
    assert_int_equal(threads_count(), before);
    gemm_set_threads(1);
    guarded_free(x, SIZE * SIZE);
    guarded_free(y, SIZE * SIZE);
}

/* Neither the bits nor the threads of the process, with either flavour of the library. */
static void the_variable_of_the_librarys_threads_changes_nothing(void **state)
{
    (void)state;
    enum { SIZE = 300 };
    static const char *const values[] = { NULL, "1", "5" };
    float *x = random_new(SIZE * SIZE, 1, 1), *y[2] = { guarded_new(SIZE * SIZE), guarded_new(SIZE * SIZE) };
    const int before = threads_count();
    char core[32];
    snprintf(core, sizeof core, "%s", blas_core());
    for (int i = 0; i < 3; i++) {
        Err err = { 0 };
        if (values[i])
            setenv("OPENBLAS_NUM_THREADS", values[i], 1);
        else
            unsetenv("OPENBLAS_NUM_THREADS");
        assert_true(blas_load(core, &err));
        assert_string_equal(blas_core(), core);
        blas_sgemm(false, true, SIZE, SIZE, SIZE, 1, x, SIZE, x, SIZE, 0, y[i > 0], SIZE);
        assert_memory_equal(y[0], y[i > 0], SIZE * SIZE * sizeof **y);
        assert_int_equal(threads_count(), before);
        const char *after = getenv("OPENBLAS_NUM_THREADS");
        assert_true(values[i] ? after && strcmp(after, values[i]) == 0 : !after);
    }
    unsetenv("OPENBLAS_NUM_THREADS");
    guarded_free(x, SIZE * SIZE);
    guarded_free(y[0], SIZE * SIZE);
    guarded_free(y[1], SIZE * SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_variable_of_the_librarys_threads_changes_nothing),
        cmocka_unit_test(a_product_is_computed_by_the_thread_that_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
