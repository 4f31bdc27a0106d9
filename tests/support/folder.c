#include "tests/support/folder.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

char *test_folder_new(void)
{
    char *folder = xstrdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/lora_test.XXXXXX" : "/tmp/lora_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

void test_folder_write(const char *folder, const char *name, const char *text)
{
    Err err = { 0 };
    char *path = path_join(folder, name);
    must(file_write(path, text, strlen(text), &err), &err);
    free(path);
}

void test_folder_drop(char *folder)
{
    assert_true(folder_remove(folder, NULL));
    free(folder);
}

static char *cache;

int test_cache_new(void **state)
{
    (void)state;
    cache = test_folder_new();
    return setenv("LORA_CACHE", cache, 1) == 0 ? 0 : 1;
}

int test_cache_drop(void **state)
{
    (void)state;
    test_folder_drop(cache);
    return 0;
}
