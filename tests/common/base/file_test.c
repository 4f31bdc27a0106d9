/* Paths as people write them. */
#include "common/base/file.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A folder with a/, b/ and `link` -> a/. */
static int make_place(void **state)
{
    char folder[] = "/tmp/file_test.XXXXXX";
    if (!mkdtemp(folder))
        return -1;
    *state = realpath(folder, NULL);
    char *a = path_join(*state, "a"), *deep = path_join(a, "deep"), *link = path_join(*state, "link");
    const int bad = mkdir(a, 0700) || mkdir(deep, 0700) || symlink(deep, link);
    free(a);
    free(deep);
    free(link);
    return bad;
}

static int remove_place(void **state)
{
    const bool ok = folder_remove(*state, NULL);
    free(*state);
    return ok ? 0 : -1;
}

static void expect(const char *place, const char *path, const char *wanted)
{
    char *given = path_join(place, path), *want = path_join(place, wanted), *got = path_absolute(given);
    assert_string_equal(got, want);
    free(given);
    free(want);
    free(got);
}

static void dots_are_taken_out_as_far_as_the_path_exists(void **state)
{
    expect(*state, "a/../new/out", "new/out");
    expect(*state, "a/./deep/..", "a");
    expect(*state, "a/deep", "a/deep");
}

static void the_parent_of_a_link_is_its_targets_parent(void **state)
{
    expect(*state, "link/../x", "a/x");
    expect(*state, "link", "link"); /* and a link without dots stays one */
}

static void what_does_not_exist_keeps_its_dots(void **state)
{
    expect(*state, "none/../x", "none/../x");
}

static void a_relative_path_begins_at_the_working_directory(void **state)
{
    (void)state;
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    char *want = path_join(here, "no-such-file"), *got = path_absolute("no-such-file");
    assert_string_equal(got, want);
    free(want);
    free(got);
}

static void a_git_lfs_pointer_is_called_one(void **state)
{
    const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    const char text[] = "version https://git-lfs.github.com is where it lies\n";
    char *path = path_join(*state, "model.safetensors");
    FileMap map;
    Err err = { 0 };
    assert_true(file_write(path, pointer, sizeof pointer - 1, &err));
    assert_false(file_map(&map, path, &err));
    assert_string_equal(err.what, "a Git LFS pointer, not the file itself");
    assert_string_equal(err.where, path);
    assert_non_null(strstr(err.hint, "git lfs pull"));
    assert_int_equal(err_exit_code(&err), 2);
    assert_true(map.size == 0 && !map.data);
    err = (Err){ 0 };
    assert_true(file_write(path, text, sizeof text - 1, &err) && file_map(&map, path, &err));
    file_unmap(&map);
    free(path);
}

static void expect_expanded(const char *path, const char *want)
{
    char *got = path_expand(path);
    assert_string_equal(got, want);
    free(got);
}

static void a_tilde_is_the_home_folder(void **state)
{
    (void)state;
    setenv("HOME", "/home/of me", 1);
    expect_expanded("~", "/home/of me");
    expect_expanded("~/a/b", "/home/of me/a/b");
    expect_expanded("~root/x", "/root/x");
    expect_expanded("~no-such-user/x", "~no-such-user/x");
    expect_expanded("a/~/b", "a/~/b");
    expect_expanded("", "");
    unsetenv("HOME"); /* then the system's list of users knows it */
    char *got = path_expand("~/x");
    assert_int_equal(got[0], '/');
    free(got);
}

/* By the working directory, which is the test's place. */
static void expect_near(const char *path, const char *want)
{
    char *got = path_nearest(path);
    if (want && got)
        assert_string_equal(got, want);
    assert_true(!want == !got);
    free(got);
}

static void a_misspelt_path_is_known_in_each_of_its_parts(void **state)
{
    Err err = { 0 };
    char *back = getcwd(NULL, 0), *runs = path_join(*state, "films/mine"), *file = path_join(*state, "films/run.yaml");
    assert_true(folder_make(runs, &err) && file_write(file, "x", 1, &err));
    assert_int_equal(chdir(*state), 0);
    expect_near("films", "films");
    expect_near("flims", "films");
    expect_near("films/rnu.yaml", "films/run.yaml");
    expect_near("fims/mine", "films/mine");
    expect_near("fims/mien//", "films/mine");
    expect_near("./fims/run.yml", "./films/run.yaml");
    expect_near("films/other", NULL);
    expect_near("films/of.yaml", NULL); /* the ending alone is alike */
    expect_near("films/ru.yaml", NULL);
    expect_near("films/runs.yaml", "films/run.yaml");
    expect_near("nowhere/mine", NULL);
    expect_near("", NULL);
    expect_near("/no-such-place-at-all", NULL);
    FileMap map;
    assert_false(file_map(&map, "films/run.yml", &err));
    assert_string_equal(err.what, "there is no such file");
    assert_string_equal(err.where, "films/run.yml");
    assert_string_equal(err.hint, "did you mean 'films/run.yaml'?");
    assert_int_equal(err_exit_code(&err), 2);
    err = (Err){ 0 };
    assert_false(file_missing("films/else", "folder", "name one", &err));
    assert_string_equal(err.what, "there is no such folder");
    assert_string_equal(err.hint, "name one");
    assert_int_equal(symlink("nowhere", "films/link.yaml"), 0);
    assert_false(file_missing("films/link.yaml", "file", NULL, &err));
    assert_string_equal(err.hint, "its name is there, but is a link to nothing");
    assert_int_equal(unlink("films/link.yaml"), 0);
    assert_false(file_map(&map, "films/run.yml", NULL));
    assert_int_equal(chdir(back), 0);
    free(file);
    free(runs);
    free(back);
}

static void a_folder_is_there_whole_or_not_at_all(void **state)
{
    Err err = { 0 };
    char *back = path_absolute(".");
    assert_int_equal(chdir(*state), 0);
    char *begun = folder_begin("deep/er/out/", &err);
    must(begun != NULL, &err);
    assert_false(file_exists("deep/er/out"));
    char *inside = path_join(begun, "a");
    must(file_write(inside, "x", 1, &err), &err);
    must(folder_commit(begun, "deep/er/out/", &err), &err);
    assert_true(file_exists("deep/er/out/a"));
    assert_false(file_exists(inside));
    assert_null(folder_begin("deep/er/out", &err));
    assert_string_equal(err.what, "'deep/er/out' is there already");
    assert_int_equal(err_exit_code(&err), 2);
    err = (Err){ 0 };
    must(folder_make("deep/empty", &err), &err);
    begun = folder_begin("deep/empty", &err); /* an empty folder gives way */
    must(begun != NULL, &err);
    char *kept = xstrdup(begun);
    folder_abandon(begun);
    assert_false(file_exists(kept));
    begun = folder_begin("deep/empty", &err);
    must(begun != NULL, &err);
    must(folder_commit(begun, "deep/empty", &err), &err);
    folder_abandon(NULL);
    assert_int_equal(chdir(back), 0);
    free(back);
    free(kept);
    free(inside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_misspelt_path_is_known_in_each_of_its_parts),
        cmocka_unit_test(dots_are_taken_out_as_far_as_the_path_exists),
        cmocka_unit_test(the_parent_of_a_link_is_its_targets_parent),
        cmocka_unit_test(what_does_not_exist_keeps_its_dots),
        cmocka_unit_test(a_relative_path_begins_at_the_working_directory),
        cmocka_unit_test(a_git_lfs_pointer_is_called_one),
        cmocka_unit_test(a_tilde_is_the_home_folder),
        cmocka_unit_test(a_folder_is_there_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
