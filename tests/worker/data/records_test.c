/* Files of every kind as rows, with the place of what is wrong. */
#include "worker/data/records.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- helpers ------------------------------------------------------------------------------- */

static char folder[] = "/tmp/records_test_XXXXXX";

/* The rows as a text: "LINE text|pair|label", "LINE word/tag word/tag", "LINE !what @where". */
static bool note(void *self, const Record *r, Err *bad, Err *err)
{
    (void)err;
    Text *out = self;
    const char *where = strstr(bad->where, folder) ? bad->where + strlen(folder) + 1 : bad->where;
    text_addf(out, "%lld ", (long long)r->line);
    if (bad->kind != ERR_NONE)
        text_addf(out, "!%s @%s", bad->what, where);
    for (int64_t i = 0; bad->kind == ERR_NONE && i < r->words.count; i++)
        text_addf(out, "%s%.*s/%s", i ? " " : "", (int)r->words.size[i], r->words.text[i],
                  r->tags ? r->tags[i] : "-");
    if (bad->kind == ERR_NONE && r->words.count == 0)
        text_addf(out, "%.*s|%s|%s", (int)r->text_size, r->text, r->pair ? r->pair : "",
                  r->label ? r->label : "");
    if (r->image)
        text_addf(out, "%s", r->image);
    text_adds(out, "\n");
    return true;
}

static char *put(const char *name, const char *bytes, size_t n)
{
    Err err = { 0 };
    char *path = path_join(folder, name), *inside = path_folder(path);
    assert_true(folder_make(inside, &err) && file_write(path, bytes, n, &err));
    free(inside);
    return path;
}

static void expect_rows(const char *path, const RecordColumns *columns, const char *want)
{
    Text got = { 0 };
    Err err = { 0 };
    if (!records_read(path, columns, note, &got, &err))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    assert_string_equal(got.data ? got.data : "", want);
    text_release(&got);
}

static void expect_file(const char *name, const char *bytes, const RecordColumns *columns, const char *want)
{
    char *path = put(name, bytes, strlen(bytes));
    expect_rows(path, columns, want);
    free(path);
}

static void expect_refused(const char *name, const char *bytes, const RecordColumns *columns, const char *what,
                           const char *hint)
{
    char *path = put(name, bytes, strlen(bytes));
    Text got = { 0 };
    Err err = { 0 };
    assert_false(records_read(path, columns, note, &got, &err));
    if (!strstr(err.what, what) || !strstr(err.hint, hint))
        fail_msg("%s | %s", err.what, err.hint);
    assert_non_null(strstr(err.where, name));
    assert_int_equal(err_exit_code(&err), 2);
    text_release(&got);
    free(path);
}

static const RecordColumns labelled = { .kind = ROWS_LABELLED, .text = "text", .label = "label", .labelled = true };
static const RecordColumns words = { .kind = ROWS_WORDS, .tokens = "tokens", .tags = "tags", .labelled = true };
static const RecordColumns bare_words = { .kind = ROWS_WORDS, .tokens = "tokens", .tags = "tags" };
static const RecordColumns prompts = { .kind = ROWS_COMPLETIONS, .text = "p", .pair = "c", .labelled = true };
static const RecordColumns blocks = { .kind = ROWS_BLOCKS, .text = "text", .labelled = true };
static const RecordColumns talks = { .kind = ROWS_MESSAGES, .messages = "m", .labelled = true };
static const RecordColumns images = { .kind = ROWS_IMAGES, .labelled = true };

/* ---- words with tags ------------------------------------------------------------------------- */

static void sentences_stand_between_blank_lines(void **state)
{
    (void)state;
    expect_file("a.conll", "New B-LOC\nDelhi I-LOC\n\nin O\n", &words, "1 New/B-LOC Delhi/I-LOC\n4 in/O\n");
    expect_file("b.conll", "\n\r\nA\tX\tB-PER \r\nb  NN   O\r\n   \t\r\n\n\nc O", &words, "3 A/B-PER b/O\n8 c/O\n");
    expect_file("c.conll", "-DOCSTART- -X- O\n\nEU NNP B-ORG\n-DOCSTART- -X- O\nsays O\n", &words,
                "3 EU/B-ORG\n5 says/O\n");
    expect_file("d.conll", "\xEF\xBB\xBFZo\xC3\xAB B-PER\n\xE3\x80\x80 O\n", &words,
                "1 Zo\xC3\xAB/B-PER \xE3\x80\x80/O\n");
    expect_file("e.conll", "", &words, "");
}

static void a_word_without_a_tag_is_named_by_its_line(void **state)
{
    (void)state;
    expect_file("f.conll", "a O\nb\nc\n\nd O\n", &words, "1 !the word has no tag behind it @f.conll:2\n5 d/O\n");
    expect_file("f.conll", "a\nb\n", &bare_words, "1 a/- b/-\n");
    expect_file("g.conll", "a O\n\xFF O\n", &words, "1 !a word is not valid UTF-8 @g.conll:1\n");
}

static void words_come_as_lists_too(void **state)
{
    (void)state;
    expect_file("a.jsonl",
                "{\"tokens\": [\"New\", \"Delhi\"], \"tags\": [\"B-LOC\", \"I-LOC\"]}\n"
                "\n{\"tokens\": [\"in\"], \"tags\": [0], \"id\": 7}\n",
                &words, "1 New/B-LOC Delhi/I-LOC\n3 in/0\n");
    expect_file("b.jsonl",
                "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\"]}\n{\"tokens\": [], \"tags\": []}\n"
                "{\"tokens\": \"a\", \"tags\": [\"O\"]}\n{\"tokens\": [\"a\"]}\n"
                "{\"tokens\": [1], \"tags\": [\"O\"]}\n{\"tokens\": [\"a\"], \"tags\": [1.5]}\n[1]\n{\"tokens\": [\n",
                &words,
                "1 !1 tags for 2 words @b.jsonl:1\n2 !field 'tokens' is empty @b.jsonl:2\n"
                "3 !field 'tokens' is not a list @b.jsonl:3\n4 !no field 'tags' @b.jsonl:4\n"
                "5 !item 1 of 'tokens' is not a string @b.jsonl:5\n"
                "6 !item 1 of 'tags' is neither a name nor a class number @b.jsonl:6\n"
                "7 !not a JSON object: another kind of value @b.jsonl:7\n"
                "8 !not a JSON object: ']' expected near end of file @b.jsonl:8\n");
    expect_file("c.jsonl", "{\"tokens\": [\"a\"]}\n", &bare_words, "1 a/-\n");
}

/* ---- prompts, conversations, plain text -------------------------------------------------------- */

static void a_prompt_has_its_completion(void **state)
{
    (void)state;
    expect_file("p.jsonl", "{\"p\": \"ask\", \"c\": \" answer\"}\n{\"p\": \"ask\"}\n{\"p\": 1, \"c\": \"x\"}\n", &prompts,
                "1 ask| answer|\n2 !no field 'c' @p.jsonl:2\n3 !field 'p' is not a string @p.jsonl:3\n");
    expect_file("p.csv", "c,p\n\" two\nlines\",ask\n", &prompts, "2 ask| two\nlines|\n");
    expect_refused("q.csv", "a,b\n1,2\n", &prompts, "no column 'p'", "data.prompt and data.completion");
}

static void plain_text_is_its_lines(void **state)
{
    (void)state;
    expect_file("a.txt", "one\n\r\nthree", &blocks, "1 one\n||\n2 \r\n||\n3 three||\n");
    expect_file("b.txt", "ok\nb\xE4r\n", &blocks, "1 ok\n||\n2 !byte 2 of the text is not valid UTF-8 @b.txt:2\n");
    expect_file("t.jsonl", "{\"text\": \"a\\nb\"}\n", &blocks, "1 a\nb||\n");
}

static void a_conversation_is_a_list(void **state)
{
    (void)state;
    expect_file("m.jsonl", "{\"m\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n{\"m\": []}\n{\"x\": 1}\n", &talks,
                "1 ||\n2 !field 'm' is empty @m.jsonl:2\n3 !no field 'm' @m.jsonl:3\n");
}

/* ---- folders --------------------------------------------------------------------------------------- */

static void the_folder_of_a_file_is_its_class(void **state)
{
    (void)state;
    free(put("set/cat/b.png", "x", 1));
    free(put("set/cat/a.jpg", "x", 1));
    free(put("set/cat/.hidden", "x", 1));
    free(put("set/ant/c.png", "x", 1));
    free(put("set/.git/d.png", "x", 1));
    free(put("set/unsup/e.png", "x", 1));
    free(put("set/README", "x", 1));
    char *path = path_join(folder, "set");
    expect_rows(path, &images, "0 ||antant/c.png\n0 ||catcat/a.jpg\n0 ||catcat/b.png\n0 ||unsupunsup/e.png\n");
    free(path);
    free(put("texts/pos/1.txt", "good", 4));
    free(put("texts/neg/1.txt", "bad", 3));
    free(put("texts/unsup/1.txt", "?", 1));
    path = path_join(folder, "texts");
    expect_rows(path, &labelled, "0 bad||neg\n0 good||pos\n");
    free(path);
}

static void a_file_of_another_kind_is_refused(void **state)
{
    (void)state;
    expect_refused("x.conll", "a O\n", &labelled, "does not hold", ".csv, .tsv or .jsonl");
    expect_refused("x.csv", "a,b\n", &words, "does not hold", ".conll");
    expect_refused("x.txt", "a\n", &prompts, "does not hold", ".jsonl");
    expect_refused("x.csv", "a\n", &talks, "does not hold", ".jsonl");
    expect_refused("x.png", "a\n", &images, "cannot be told", "folder of images a class");
    expect_refused("x.txt", "a\n", &(RecordColumns){ .kind = ROWS_TEXTS, .text = "text" }, "does not hold",
                   "data.block_size");
    Err err = { 0 };
    assert_false(records_read("/nowhere/x.conll", &words, note, NULL, &err));
    assert_string_equal(err.what, "no such file");
}

/* ---- all ----------------------------------------------------------------------------------------------- */

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    (void)state;
    Err err = { 0 };
    return folder_remove(folder, &err) ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_stand_between_blank_lines),
        cmocka_unit_test(a_word_without_a_tag_is_named_by_its_line),
        cmocka_unit_test(words_come_as_lists_too),
        cmocka_unit_test(a_prompt_has_its_completion),
        cmocka_unit_test(plain_text_is_its_lines),
        cmocka_unit_test(a_conversation_is_a_list),
        cmocka_unit_test(the_folder_of_a_file_is_its_class),
        cmocka_unit_test(a_file_of_another_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
