/* .csv and .tsv files, plain and packed: cells as Python's csv module reads them, the style of a .tsv file,
 * and what is said of rows that are wrong. */
#include "tests/support/record_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const RecordColumns labelled = { .kind = ROWS_LABELLED, .text = "text", .label = "label", .labelled = true };
static const RecordColumns pairs = { .kind = ROWS_LABELLED, .text = "a", .pair = "b", .label = "n", .labelled = true };
static const RecordColumns lines = { .kind = ROWS_BLOCKS, .text = "text" };

/* ---- cells ------------------------------------------------------------------------------- */

static void blanks_belong_to_a_cell(void **state)
{
    (void)state;
    expect_file("a.csv", "text,label\n  red sky ,\" a \" \n\t,x\n\"\",y\n", &labelled,
                "2   red sky || a  \n3 \t||x\n4 ||y\n");
    expect_file("b.csv", "label,text\nx,\n", &labelled, "2 ||x\n");
}

static void a_quote_opens_a_cell_only_as_its_first_letter(void **state)
{
    (void)state;
    expect_file("a.csv", "text,label\n6\" pipe,x\n \"so\",y\n\"a\"b\"c,z\n\"say \"\"so\"\"\",w\n", &labelled,
                "2 6\" pipe||x\n3  \"so\"||y\n4 ab\"c||z\n5 say \"so\"||w\n");
    expect_file("b.csv", "text,label\r\n\"two\r\nlines, and\n\nmore\",x\r\n\r\nlast,y\r\n", &labelled,
                "2 two\r\nlines, and\n\nmore||x\n7 last||y\n");
    expect_file("c.csv", "text,label\rold,x\rmac,y", &labelled, "2 old||x\n3 mac||y\n");
}

static void an_open_quote_is_told_where_it_opens(void **state)
{
    (void)state;
    expect_file("a.csv", "text,label\nred,x\nblue,\"y\ngreen,z\n", &labelled,
                "2 red||x\n3 !a quote is opened here and never closed @a.csv:3\n");
    expect_file("b.csv", "text,label\n\"two\nlines\",\"y\nz", &labelled,
                "2 !a quote is opened here and never closed @b.csv:3\n");
    expect_refused("c.csv", "text,\"label\nred,x\n", &labelled, "header is never closed", "");
}

static void a_row_has_as_many_cells_as_the_header(void **state)
{
    (void)state;
    expect_file("a.csv", "text,label\nred,x,\nblue\ngreen,x\n", &labelled,
                "2 !the row has 3 columns, the header 2 @a.csv:2\n3 !the row has 1 columns, the header 2 @a.csv:3\n"
                "4 green||x\n");
    expect_file("a.tsv", "text\tlabel\nred\tx\ty\n", &labelled, "2 !the row has 3 columns, the header 2 @a.tsv:2\n");
}

static void the_header_names_the_columns(void **state)
{
    (void)state;
    expect_file("a.csv", "\xEF\xBB\xBF\"text\",\"label\"\n\"red\",\"x\"\n", &labelled, "2 red||x\n");
    expect_file("a.tsv", "\xEF\xBB\xBF\"text\"\t\"label\"\n\"red\"\t\"x\"\n", &labelled, "2 red||x\n");
    expect_refused("b.csv", "a dull film,neg\na fine one,pos\n", &labelled, "no column 'text'",
                   "if that is a row of data, put a line with their names above it");
    expect_refused("c.csv", "text,class\nred,x\n", &labelled, "no column 'label'", "the columns are: text, class; set");
    expect_refused("d.csv", "\xFF\xFEt\0e\0", &labelled, "UTF-16", "iconv");
    expect_file("e.csv", "text,label\nred,\xE4\n", &labelled, "2 !the label is not valid UTF-8 @e.csv:2\n");
}

/* ---- the style of a .tsv file ---------------------------------------------------------------- */

/* Sentences cut out of newspapers: quotes anywhere, also at both ends of a cell, also over a tab. */
static void quotes_of_a_plain_file_are_letters(void **state)
{
    (void)state;
    expect_file("a.tsv",
                "n\ta\tb\n1\t\" It is late , \" she said .\tShe said : \" it is late . \"\n0\t\" Never .\tNow . \"\n"
                "1\t\" All of it \"\tpart\n0\tno quotes\tat all\n",
                &pairs,
                "2 \" It is late , \" she said .|She said : \" it is late . \"|1\n3 \" Never .|Now . \"|0\n"
                "4 \" All of it \"|part|1\n5 no quotes|at all|0\n");
    expect_file("b.tsv", "text\tlabel\n\"whole\"\tx\nplain\ty\n", &labelled, "2 \"whole\"||x\n3 plain||y\n");
    expect_file("c.tsv", "text\tlabel\n\"over a\ttab\"\n", &labelled, "2 \"over a||tab\"\n");
    expect_file("d.tsv", "text\tlabel\n\"\"\"twice\"\"\"\tx\n6\" pipe\ty\n", &labelled,
                "2 \"\"\"twice\"\"\"||x\n3 6\" pipe||y\n");
    expect_file("e.tsv", "text\tlabel\n\"opened\tx\n", &labelled, "2 \"opened||x\n");
}

static void a_quoted_file_is_read_as_it_was_written(void **state)
{
    (void)state;
    expect_file("a.tsv", "\"text\"\t\"label\"\n\"plain\"\t\"x\"\n\"a\ttab\"\t\"y\"\n\"\"\"so\"\"\"\t\"z\"\n", &labelled,
                "2 plain||x\n3 a\ttab||y\n4 \"so\"||z\n");
    expect_file("b.tsv", "text\tlabel\nplain\tx\n\"a \"\"word\"\"\"\ty\n\"two\nlines\"\tz\n\"a\ttab\"\tw\n", &labelled,
                "2 plain||x\n3 a \"word\"||y\n4 two\nlines||z\n6 a\ttab||w\n");
}

/* ---- packed files ----------------------------------------------------------------------------- */

/* text,label / " one",a / two ,b; in two members; by zstd */
static const char gzip[] =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\x49\xad\x28\xd1\xc9\x49\x4c\x4a\xcd\xe1\x52\x52"
    "\xc8\xcf\x4b\x55\xd2\x49\xe4\x2a\x29\xcf\x57\xd0\x49\xe2\x02\x00\x8e\xe1\x4e\xc8\x1b\x00\x00"
    "\x00";
static const char members[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\x49\xad\x28\xd1\xc9\x49\x4c\x4a\xcd\xe1\x52"
                              "\x52\xc8\xcf\x4b\x55\xd2\x49\xe4\x02\x00\xe5\x2c\x33\xcb\x14\x00\x00\x00\x1f\x8b\x08\x00"
                              "\x00\x00\x00\x00\x02\x03\x2b\x29\xcf\x57\xd0\x49\xe2\x02\x00\x22\x06\x75\xae\x07\x00\x00"
                              "\x00";
static const char zstd[] =
    "\x28\xb5\x2f\xfd\x00\x58\xd9\x00\x00\x74\x65\x78\x74\x2c\x6c\x61\x62\x65\x6c\x0a\x22\x20\x6f"
    "\x6e\x65\x22\x2c\x61\x0a\x74\x77\x6f\x20\x2c\x62\x0a";

static void expect_damaged(const char *name, const char *bytes, size_t n, const char *what)
{
    char *path = put_file(name, bytes, n);
    Err err = { 0 };
    Text got = { 0 };
    assert_false(records_read(path, &labelled, record_note, &got, &err));
    if (!strstr(err.what, what) || !strstr(err.where, name))
        fail_msg("%s | %s", err.what, err.where);
    assert_int_equal(err_exit_code(&err), 2);
    assert_null(got.data);
    free(path);
}

static void a_packed_file_is_what_it_holds(void **state)
{
    (void)state;
    const char *want = "2  one||a\n3 two ||b\n";
    expect_bytes("a.csv.gz", gzip, sizeof gzip - 1, &labelled, want);
    expect_bytes("b.csv.gz", members, sizeof members - 1, &labelled, want);
    expect_bytes("c.csv.zst", zstd, sizeof zstd - 1, &labelled, want);
    expect_bytes("d.txt.zst", zstd, sizeof zstd - 1, &lines, "1 text,label\n||\n2 \" one\",a\n||\n3 two ,b\n||\n");
}

static void a_damaged_packed_file_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof gzip - 1; n++)
        expect_damaged("a.csv.gz", gzip, n, "ends too early");
    for (size_t n = 0; n < sizeof zstd - 1; n++)
        expect_damaged("a.csv.zst", zstd, n, "ends too early");
    char bytes[sizeof gzip];
    memcpy(bytes, gzip, sizeof gzip);
    bytes[20] ^= 4;
    expect_damaged("b.csv.gz", bytes, sizeof gzip - 1, "damaged");
    expect_damaged("c.csv.gz", "text,label\n", 11, "damaged");
    expect_damaged("c.csv.zst", "text,label\n", 11, "damaged");
}

/* ---- what is not read directly ------------------------------------------------------------------ */

static void the_command_that_makes_rows_is_named(void **state)
{
    (void)state;
    expect_refused("a.parquet", "PAR1", &labelled, "not read directly", "a.parquet a.jsonl");
    expect_refused("it's a.parquet", "PAR1", &labelled, "not read directly", "it'\\''s a.parquet' 'it'\\''s a.jsonl'");
    expect_refused("b.arrow", "ARROW1", &labelled, "not read directly", "lora import /");
    Err err = { 0 };
    char path[256];
    snprintf(path, sizeof path, "%s/somebody/reviews", record_folder);
    assert_null(records_format(path, ROWS_LABELLED, &err));
    assert_string_equal(err.what, "there is no such file or folder");
    assert_non_null(strstr(err.hint, "lora import somebody/reviews reviews.jsonl"));
    err = (Err){ 0 };
    snprintf(path, sizeof path, "%s/reviews", record_folder);
    assert_null(records_format(path, ROWS_LABELLED, &err));
    assert_non_null(strstr(err.hint, "lora import reviews reviews.jsonl"));
    err = (Err){ 0 };
    snprintf(path, sizeof path, "%s/reviews.csv", record_folder);
    assert_null(records_format(path, ROWS_LABELLED, &err));
    assert_string_equal(err.hint, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_belong_to_a_cell),
        cmocka_unit_test(a_quote_opens_a_cell_only_as_its_first_letter),
        cmocka_unit_test(an_open_quote_is_told_where_it_opens),
        cmocka_unit_test(a_row_has_as_many_cells_as_the_header),
        cmocka_unit_test(the_header_names_the_columns),
        cmocka_unit_test(quotes_of_a_plain_file_are_letters),
        cmocka_unit_test(a_quoted_file_is_read_as_it_was_written),
        cmocka_unit_test(a_packed_file_is_what_it_holds),
        cmocka_unit_test(a_damaged_packed_file_is_refused),
        cmocka_unit_test(the_command_that_makes_rows_is_named),
    };
    return cmocka_run_group_tests(tests, record_case_begin, record_case_end);
}
