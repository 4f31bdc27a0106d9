#include "worker/kernels/blas.h"

#include "tests/worker/kernels/support.h"
#include "worker/kernels/gemm.h"

#include <dirent.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_is_computed_by_the_thread_that_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
