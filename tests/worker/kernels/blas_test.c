#include "worker/kernels/blas.h"

#include "tests/worker/kernels/support.h"
#include "worker/kernels/gemm.h"

#include <dirent.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Bytes of address space that this process has. */
static size_t space_used(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* In a process of its own, with so much address space left: 0: loaded; 1: refused with the sentence; 14: it hung. */
static int load_within(size_t megabytes)
{
    const pid_t pid = fork();
    if (pid == 0) {
        Err err = { 0 };
        const rlim_t most = space_used() + (megabytes << 20);
        const struct rlimit limit = { most, most };
        alarm(20);
        setrlimit(RLIMIT_AS, &limit);
        const bool ok = blas_load(NULL, &err);
        _exit(ok                                                                                          ? 0
              : err.kind == ERR_MEMORY && strstr(err.what, "address space") && strstr(err.hint, "ulimit") ? 1
                                                                                                          : 2);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void a_limit_of_the_address_space_is_told_and_does_not_hang(void **state)
{
    (void)state;
    omp_set_num_threads(1);
    assert_int_equal(load_within(16), 1);
    for (size_t megabytes = 50; megabytes < 400; megabytes += 25) { /* what is loaded here makes room first */
        const int end = load_within(megabytes);
        if (end != 0 && end != 1)
            fail_msg("with %zu MB left, loading ended with %d", megabytes, end);
    }
    assert_int_equal(load_within(1000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_variable_of_the_librarys_threads_changes_nothing),
        cmocka_unit_test(a_product_is_computed_by_the_thread_that_asks),
        cmocka_unit_test(a_limit_of_the_address_space_is_told_and_does_not_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
