/* What a run takes for its labels from the data, and how many it takes at the most. */
#include "worker/train/find_labels.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/common/config/load.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <stdlib.h>

/* A run on rows of so many labels, each `width` bytes wide or more. */
static void find_among(int labels, int width, bool *found, Config *c, Err *err)
{
    char *folder = test_folder_new(), *path = path_join(folder, "rows.tsv");
    Text rows = { 0 };
    Err io = { 0 };
    text_adds(&rows, "text\tlabel\n");
    for (int i = 0; i < labels; i++)
        text_addf(&rows, "a\tn%0*d\n", width - 1, i);
    must(file_write(path, rows.data, rows.size, &io), &io);
    char *train = xprintf("data.train=%s", path);
    load_good(c, "task_type: SEQ_CLS\n", OVERRIDES("model=tests/golden/bert-seqcls/model", train));
    *err = (Err){ 0 };
    const bool ok = find_labels(c, found, err);
    assert_int_equal(ok, err->kind == ERR_NONE);
    free(train);
    text_release(&rows);
    free(path);
    test_folder_drop(folder);
}

static void expect_too_many(int labels, int width, const char *what)
{
    Config c;
    Err err;
    bool found;
    find_among(labels, width, &found, &c, &err);
    assert_false(found);
    expect_in(err.what, what);
    expect_in(err.where, "rows.tsv");
    expect_in(err.hint, "is data.label the right column? Values to learn are problem_type: regression");
    assert_int_equal(err_exit_code(&err), 2);
    assert_int_equal(c.label_count, 0);
    config_release(&c);
}

static void a_column_of_texts_is_no_label(void **state)
{
    (void)state;
    Config c;
    Err err;
    bool found;
    find_among(9000, 6, &found, &c, &err);
    must(err.kind == ERR_NONE, &err);
    assert_true(found);
    assert_int_equal(c.labels.count, 9000);
    assert_string_equal(c.labels.items[8999], "n08999");
    config_release(&c);
    expect_too_many(65537, 6, "65537 different labels of 524296 bytes: at most 65536 of 921600 bytes are a run's");
    expect_too_many(10000, 100, "10000 different labels of 1020000 bytes: at most 65536 of 921600 bytes are a run's");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_column_of_texts_is_no_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
