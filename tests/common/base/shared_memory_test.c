#include "common/base/shared_memory.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 10000 };

static SharedMemory made(void)
{
    SharedMemory memory;
    Err err = { 0 };
    assert_true(shared_memory_create(&memory, SIZE, &err));
    assert_true(memory.size == SIZE && memory.key != 0);
    for (int i = 0; i < SIZE; i++)
        assert_int_equal(((const char *)memory.data)[i], 0);
    return memory;
}

/* In another process; its exit code. */
static int there(int (*look)(const SharedMemory *memory, const char *name), const SharedMemory *memory)
{
    char name[SHARED_NAME];
    int status;
    shared_memory_name(memory, name);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(look(memory, name));
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static int reads_and_writes(const SharedMemory *memory, const char *name)
{
    SharedMemory mine;
    if (!shared_memory_open(&mine, name, memory->key, SIZE, true) || strcmp(mine.data, "from the maker") != 0)
        return 1;
    memcpy((char *)mine.data + SIZE - 6, "back", 5);
    shared_memory_close(&mine);
    return mine.data ? 2 : 0;
}

static void stopped(int number)
{
    (void)number;
    _exit(42);
}

static int writes_what_it_may_read(const SharedMemory *memory, const char *name)
{
    SharedMemory mine;
    if (!shared_memory_open(&mine, name, memory->key, SIZE, false))
        return 1;
    signal(SIGSEGV, stopped);
    *(volatile char *)mine.data = 'x';
    return 0;
}

static void both_sides_see_what_is_written(void **state)
{
    (void)state;
    SharedMemory memory = made();
    memcpy(memory.data, "from the maker", 15);
    assert_int_equal(there(reads_and_writes, &memory), 0);
    assert_string_equal((const char *)memory.data + SIZE - 6, "back");
    assert_int_equal(there(writes_what_it_may_read, &memory), 42);
    assert_string_equal(memory.data, "from the maker");
    shared_memory_close(&memory);
    assert_null(memory.data);
}

static void nothing_else_is_taken(void **state)
{
    (void)state;
    SharedMemory memory = made(), got;
    char name[SHARED_NAME], other[64], long_name[80];
    shared_memory_name(&memory, name);
    assert_true(shared_memory_open(&got, name, memory.key, SIZE, true));
    shared_memory_close(&got);
    assert_false(shared_memory_open(&got, name, memory.key + 2, SIZE, true));
    assert_null(got.data);
    assert_false(shared_memory_open(&got, name, 0, SIZE, true));
    assert_false(shared_memory_open(&got, name, memory.key, SIZE - 1, true));
    assert_false(shared_memory_open(&got, name, memory.key, SIZE + 1, true));
    snprintf(long_name, sizeof long_name, "%s/", name);
    const char *const none[] = { "",           "/dev/zero", "/proc/self/fd/0", "/proc/0/fd/0", "/proc/1/fd/99999",
                                 "/dev/shm/x", long_name };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(shared_memory_open(&got, none[i], memory.key, SIZE, true));

    FILE *file = tmpfile(); /* of the right size, and with the key in front */
    char *bytes = calloc(1, SIZE + 4096);
    memcpy(bytes, &memory.key, sizeof memory.key);
    assert_int_equal(fwrite(bytes, SIZE + 4096, 1, file), 1);
    fflush(file);
    snprintf(other, sizeof other, "/proc/%d/fd/%d", (int)getpid(), fileno(file));
    assert_false(shared_memory_open(&got, other, memory.key, SIZE, true));
    fclose(file);

    const int fd = memfd_create("lora", 0); /* whose maker can take it away again, and whoever reads it with it */
    assert_true(write(fd, bytes, SIZE + 4096) == SIZE + 4096);
    snprintf(other, sizeof other, "/proc/%d/fd/%d", (int)getpid(), fd);
    assert_false(shared_memory_open(&got, other, memory.key, SIZE, true));
    close(fd);
    free(bytes);
    assert_int_not_equal(ftruncate(memory.fd, 100), 0);
    shared_memory_close(&memory);
    assert_false(shared_memory_open(&got, name, memory.key, SIZE, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_see_what_is_written),
        cmocka_unit_test(nothing_else_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
