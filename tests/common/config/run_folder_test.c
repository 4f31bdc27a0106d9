/* What a folder says of the run that wrote it, and whether an adapter is in it. */
#include "common/config/run_folder.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* folder/inner, made, with an empty file of this name; owned. */
static char *with(const char *folder, const char *inner, const char *name)
{
    Err err = { 0 };
    char *inside = path_join(folder, inner), *path = path_join(inside, name);
    must(folder_make(inside, &err) && file_write(path, "", 0, &err), &err);
    free(path);
    return inside;
}

static void expect_file(const char *folder, const char *ending)
{
    char *path = run_folder_file(folder);
    if (!ending) {
        assert_null(path);
        return;
    }
    assert_non_null(path);
    assert_true(text_ends(path, ending));
    free(path);
}

static void a_checkpoint_is_of_the_run_above_it(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *back = getcwd(NULL, 0);
    char *run = with(folder, "mine", "run.yaml"), *at = with(run, "checkpoint-20", "adapter_config.json");
    char *slash = xprintf("%s/", at);
    expect_file(run, "mine/run.yaml");
    expect_file(at, "checkpoint-20/../run.yaml");
    expect_file(slash, "../run.yaml");
    assert_int_equal(chdir(at), 0);
    expect_file(".", "../run.yaml");
    assert_int_equal(chdir(back), 0);
    free(slash);
    free(at);
    free(run);
    free(back);
    test_folder_drop(folder);
}

/* A run file often lies beside the folders of other adapters: it is none of theirs. */
static void any_other_folder_is_not(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *here = with(folder, ".", "run.yaml"),
         *other = with(folder, "published", "adapter_config.json");
    expect_file(other, NULL);
    free(other);
    free(here);
    test_folder_drop(folder);
}

static void expect_no_adapter(const char *folder, const char *what, const char *hint)
{
    Err err = { 0 };
    assert_false(run_folder_check(folder, &err));
    assert_string_equal(err.what, what);
    assert_string_equal(err.where, folder);
    if (!strstr(err.hint, hint))
        fail_msg("'%s' is not in '%s'", hint, err.hint);
    assert_int_equal(err_exit_code(&err), 2);
}

static void a_folder_without_an_adapter_says_why(void **state)
{
    (void)state;
    Err err = { 0 };
    char *folder = test_folder_new(), *gone = path_join(folder, "gone"), *run = with(folder, "mine", "run.yaml");
    expect_no_adapter(gone, "there is no such folder", "train.output_dir");
    expect_no_adapter(folder, "there is no adapter in this folder: it has no adapter_config.json", "save_pretrained");
    expect_no_adapter(run, "the run in this folder has not come to its end, and has no adapter yet",
                      "the same lora train goes on with it");
    char *second = with(run, "checkpoint-9", "adapter_config.json"),
         *newest = with(run, "checkpoint-20", "adapter_config.json"),
         *unfinished = with(run, "checkpoint-30.tmp", "adapter_config.json");
    expect_no_adapter(run, "the run in this folder has not come to its end, and has no adapter yet",
                      "mine/checkpoint-20, or go on");
    must(run_folder_check(newest, &err), &err);
    free(second);
    free(newest);
    free(unfinished);
    free(run);
    free(gone);
    test_folder_drop(folder);
}

static void put(const char *folder, const char *name, const char *text)
{
    Err err = { 0 };
    char *path = path_join(folder, name);
    must(file_write(path, text, strlen(text), &err), &err);
    free(path);
}

static void expect_labels(const char *adapter, const char *ours, const char *want)
{
    Err err = { 0 };
    Config config = { 0 };
    Text text = { 0 };
    const char *keys[] = { "model=none", ours };
    must(config_load(&config, &(ConfigSources){ .overrides = keys, .override_count = ours ? 2 : 1 }, &err), &err);
    must(run_folder_labels(&config, adapter, &err), &err);
    config_print_key(&config, "labels", &text);
    assert_string_equal(text.data, want);
    text_release(&text);
    config_release(&config);
}

static void expect_another_order(const char *adapter)
{
    Err err = { 0 };
    Config config = { 0 };
    const char *keys[] = { "model=none", "labels=[good, fair, bad]" };
    must(config_load(&config, &(ConfigSources){ .overrides = keys, .override_count = 2 }, &err), &err);
    assert_false(run_folder_labels(&config, adapter, &err));
    assert_string_equal(err.what, "the adapter's labels stand in another order: 'good' is number 0 here, 2 there");
    assert_non_null(strstr(err.where, "--labels"));
    config_release(&config);
}

static void labels_are_the_run_s_or_those_beside_the_adapter(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *run = with(folder, "mine", "adapter_config.json");
    char *copy = with(folder, "copy", "adapter_config.json"), *other = with(folder, "other", "adapter_config.json");
    put(run, "run.yaml", "model: none\nlabels: [bad, fair, good]\n");
    put(copy, "labels.json", "[\"bad\", \"fair\", \"good\"]");
    put(other, "labels.json", "{\"bad\": 0}");
    for (int i = 0; i < 2; i++) {
        const char *adapter = i ? copy : run;
        expect_labels(adapter, NULL, "[bad, fair, good]");
        expect_labels(adapter, "labels=[schlecht, mittel, gut]", "[schlecht, mittel, gut]");
        expect_labels(adapter, "labels=[bad, fair, excellent]", "[bad, fair, excellent]");
        expect_another_order(adapter);
    }
    put(run, "run.yaml", "model: none\n"); /* the names are the model's: they stay its */
    put(run, "labels.json", "[\"bad\", \"fair\", \"good\"]");
    expect_labels(run, NULL, "null");
    expect_another_order(run);
    expect_labels(other, NULL, "null");
    free(other);
    free(copy);
    free(run);
    test_folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_is_of_the_run_above_it),
        cmocka_unit_test(any_other_folder_is_not),
        cmocka_unit_test(a_folder_without_an_adapter_says_why),
        cmocka_unit_test(labels_are_the_run_s_or_those_beside_the_adapter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
