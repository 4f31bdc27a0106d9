/* What control groups leave of a machine, as the files of both versions say it: folders made here. */
#include "common/base/machine.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char root[] = "/tmp/machine-test-XXXXXX";

static void put(const char *name, const char *text)
{
    Err err = { 0 };
    char *path = path_join(root, name), *folder = path_folder(path);
    assert_true(folder_make(folder, &err) && file_write(path, text, strlen(text), &err));
    free(folder);
    free(path);
}

static int begin(void **state)
{
    (void)state;
    strcpy(root, "/tmp/machine-test-XXXXXX");
    assert_non_null(mkdtemp(root));
    put("proc/meminfo", "MemTotal:        8000000 kB\nMemFree:  1 kB\nMemAvailable:    6000000 kB\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    Err err = { 0 };
    return folder_remove(root, &err) ? 0 : 1;
}

static void expect(double quota, int64_t limit, int64_t room)
{
    const Machine m = machine_look(root);
    assert_true(m.quota == quota);
    assert_int_equal(m.limit, limit);
    assert_int_equal(machine_room(&m), room);
    assert_int_equal(m.memory, 8000000LL * 1024);
}

enum { GB = 1 << 30 };
static const int64_t available = 6000000LL * 1024;

static void a_machine_without_groups_has_what_it_has(void **state)
{
    (void)state;
    expect(0, 0, available);
    put("proc/self/cgroup", "0::/\n");
    expect(0, 0, available);
    put("sys/fs/cgroup/memory.max", "max\n");
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    expect(0, 0, available);
}

static void a_container_sees_its_own_group_as_the_root(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/memory.max", "1073741824\n");
    put("sys/fs/cgroup/cpu.max", "150000 100000\n");
    expect(1.5, GB, GB);
}

static void the_strictest_group_on_the_way_counts(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/job_7/step_0\n");
    put("sys/fs/cgroup/job_7/step_0/memory.max", "max\n");
    put("sys/fs/cgroup/job_7/memory.max", "1073741824\n");
    put("sys/fs/cgroup/job_7/step_0/cpu.max", "400000 100000\n");
    put("sys/fs/cgroup/job_7/cpu.max", "200000 100000\n");
    expect(2, GB, GB);
    put("sys/fs/cgroup/job_7/memory.max", "107374182400\n"); /* more than there is */
    expect(2, 100LL * GB, available);
}

static void version_1_has_a_folder_a_kind(void **state)
{
    (void)state;
    put("proc/self/cgroup", "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n0::/\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    expect(0, 0, available);
    put("sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes", "1073741824\n");
    put("sys/fs/cgroup/cpu/docker/ab/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/docker/ab/cpu.cfs_period_us", "100000\n");
    expect(0, GB, GB);
    put("sys/fs/cgroup/cpu/docker/ab/cpu.cfs_quota_us", "50000\n");
    expect(0.5, GB, GB);
}

static void a_garbled_list_of_groups_is_none(void **state)
{
    (void)state;
    put("proc/self/cgroup", "nonsense\n:\n4:memory\n::\n\n");
    expect(0, 0, available);
}

static void the_real_one_is_told(void **state)
{
    (void)state;
    const Machine m = machine_look("");
    assert_true(m.cores >= 1 && m.allowed >= 1 && m.allowed <= m.cores);
    assert_true(m.memory > m.available && m.available > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_machine_without_groups_has_what_it_has, begin, end),
        cmocka_unit_test_setup_teardown(a_container_sees_its_own_group_as_the_root, begin, end),
        cmocka_unit_test_setup_teardown(the_strictest_group_on_the_way_counts, begin, end),
        cmocka_unit_test_setup_teardown(version_1_has_a_folder_a_kind, begin, end),
        cmocka_unit_test_setup_teardown(a_garbled_list_of_groups_is_none, begin, end),
        cmocka_unit_test(the_real_one_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
