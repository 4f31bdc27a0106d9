#include "tests/support/record_case.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

char record_folder[] = "/tmp/records_test_XXXXXX";

int record_case_begin(void **state)
{
    (void)state;
    return mkdtemp(record_folder) ? 0 : 1;
}

int record_case_end(void **state)
{
    (void)state;
    Err err = { 0 };
    return folder_remove(record_folder, &err) ? 0 : 1;
}

bool record_note(void *self, const Record *r, Err *bad, Err *err)
{
    (void)err;
    Text *out = self;
    const char *where = strstr(bad->where, record_folder) ? bad->where + strlen(record_folder) + 1 : bad->where;
    text_addf(out, "%lld ", (long long)r->line);
    if (bad->kind != ERR_NONE)
        text_addf(out, "!%s @%s", bad->what, where);
    for (int64_t i = 0; bad->kind == ERR_NONE && i < r->words.count; i++)
        text_addf(out, "%s%.*s/%s", i ? " " : "", (int)r->words.size[i], r->words.text[i], r->tags ? r->tags[i] : "-");
    for (size_t i = 0; bad->kind == ERR_NONE && i < r->text_size; i++)
        text_add(out, r->text[i] ? &r->text[i] : "<NUL>", r->text[i] ? 1 : 5);
    if (bad->kind == ERR_NONE && r->words.count == 0)
        text_addf(out, "|%s|%s", r->pair ? r->pair : "", r->label ? r->label : "");
    if (r->image)
        text_addf(out, "%s", r->image);
    text_adds(out, "\n");
    return true;
}

char *put_file(const char *name, const char *bytes, size_t n)
{
    Err err = { 0 };
    char *path = path_join(record_folder, name), *inside = path_folder(path);
    assert_true(folder_make(inside, &err) && file_write(path, bytes, n, &err));
    free(inside);
    return path;
}

void expect_rows(const char *path, const RecordColumns *columns, const char *want)
{
    Text got = { 0 };
    Err err = { 0 };
    if (!records_read(path, columns, record_note, &got, &err))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    assert_string_equal(got.data ? got.data : "", want);
    text_release(&got);
}

void expect_bytes(const char *name, const char *bytes, size_t n, const RecordColumns *columns, const char *want)
{
    char *path = put_file(name, bytes, n);
    expect_rows(path, columns, want);
    free(path);
}

void expect_file(const char *name, const char *bytes, const RecordColumns *columns, const char *want)
{
    expect_bytes(name, bytes, strlen(bytes), columns, want);
}

void expect_refused(const char *name, const char *bytes, const RecordColumns *columns, const char *what,
                    const char *hint)
{
    char *path = put_file(name, bytes, strlen(bytes));
    Text got = { 0 };
    Err err = { 0 };
    assert_false(records_read(path, columns, record_note, &got, &err));
    if (!strstr(err.what, what) || !strstr(err.hint, hint))
        fail_msg("%s | %s", err.what, err.hint);
    assert_non_null(strstr(err.where, name));
    assert_int_equal(err_exit_code(&err), 2);
    text_release(&got);
    free(path);
}
