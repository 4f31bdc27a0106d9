/* Which data file was changed since a run began, and how. */
#include "ps/inputs.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILES = 9 };

static void put(const char *path, const char *content)
{
    Err err = { 0 };
    assert_true(file_write(path, content, strlen(content), &err));
}

static void expect_changes(const Run *run, const char *key, const char *want)
{
    Text out = { 0 };
    text_adds(&out, "");
    inputs_add_changes(run, key, &out);
    assert_string_equal(out.data, want);
    text_release(&out);
}

/* A run of these training files, the first of which also validates. */
static Run run_of(char *folder, char *paths[FILES])
{
    for (int i = 0; i < FILES; i++) {
        paths[i] = xprintf("%s/%d.tsv", folder, i);
        put(paths[i], "text\tlabel\n");
    }
    Run run = { .folder = folder };
    run.config.data.train = (StringList){ .items = paths, .count = FILES };
    run.config.data.validation = (StringList){ .items = paths, .count = 1 };
    return run;
}

static void a_changed_file_is_named_with_what_was_done_to_it(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *paths[FILES];
    const Run run = run_of(folder, paths);
    inputs_note(&run);
    expect_changes(&run, "data.train", "");
    put(paths[0], "text\tlabel\na\tb\n");
    put(paths[1], "text\tlabe\n");
    put(paths[2], "tExt\tlabel\n");
    put(paths[3], "tExt\tlabel\na\tb\n");
    unlink(paths[4]);
    char *want = xprintf("; %s has 4 bytes more at its end than when the run began, 11 then"
                         "; %s is another than when the run began: 10 bytes now, 11 then"
                         "; %s is another than when the run began, of as many bytes"
                         "; %s is another than when the run began: 15 bytes now, 11 then",
                         paths[0], paths[1], paths[2], paths[3]);
    expect_changes(&run, "data.train", want);
    *strstr(want + 1, "; ") = '\0'; /* the first file alone */
    expect_changes(&run, "data.validation", want);
    expect_changes(&run, "data.test", "");
    free(want);
    for (int i = 0; i < FILES; i++)
        put(paths[i], "text\tlabel\n");
    expect_changes(&run, "data.train", "");
    for (int i = 0; i < FILES; i++) {
        put(paths[i], "");
        free(paths[i]);
    }
    Text out = { 0 };
    inputs_add_changes(&run, "data.train", &out);
    assert_true(
        text_ends(out.data, "/4.tsv is another than when the run began: 0 bytes now, 11 then; and 4 files more"));
    text_release(&out);
    test_folder_drop(folder);
}

/* Data that the server cannot see, a folder of pictures, a file that is not ours. */
static void what_is_not_known_is_not_said(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *paths[FILES], *own;
    const Run run = run_of(folder, paths);
    expect_changes(&run, "data.train", ""); /* of a run that an older version began */
    unlink(paths[0]);
    Err err = { 0 };
    unlink(paths[1]);
    assert_true(folder_make(paths[1], &err));
    inputs_note(&run);
    put(paths[0], "something");
    expect_changes(&run, "data.train", "");
    put(paths[2], "another");
    own = path_join(folder, INPUTS_FILE);
    put(own, "{\"data.train\": [{\"file\": 3}, 7, {\"file\": \"x\", \"bytes\": \"many\"}, ");
    expect_changes(&run, "data.train", "");
    put(own, "{\"data.train\": [{\"file\": 3}, 7, {\"file\": \"x\", \"bytes\": \"many\"}]}");
    expect_changes(&run, "data.train", "");
    free(own);
    for (int i = 0; i < FILES; i++)
        free(paths[i]);
    test_folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_file_is_named_with_what_was_done_to_it),
        cmocka_unit_test(what_is_not_known_is_not_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
