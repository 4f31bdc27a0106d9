/* Files of every kind as rows, with the place of what is wrong. */
#include "tests/support/record_case.h"

#include "common/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

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

/* ---- JSON ------------------------------------------------------------------------------------- */

static void a_list_of_objects_is_rows_too(void **state)
{
    (void)state;
    expect_file(
        "a.json",
        "\n[\n  {\"text\": \"a ] }, \\\" b\",\n   \"label\": [1, [2]]},\n\n  {\"text\": \"c\", \"label\": \"x\"}]\n",
        &labelled, "3 a ] }, \" b||\n6 c||x\n");
    expect_file("b.json", "\xEF\xBB\xBF{\"text\": \"a\", \"label\": 1}\r\n{\"text\": \"b\", \"label\": 2}\n", &labelled,
                "1 a||1\n2 b||2\n");
    expect_file("c.jsonl", "[{\"text\": \"a\", \"label\": 1}, 7, {\"text\":\n \"b\",\n \"label\": }]", &labelled,
                "1 a||1\n1 !not a JSON object: '[' or '{' expected near '7' @c.jsonl:1\n"
                "1 !not a JSON object: unexpected token near '}' @c.jsonl:3\n");
    expect_file("d.json", " [ ] ", &labelled, "");
    expect_refused("e.json", "[{\"text\": \"a\", \"label\": 1},\n", &labelled, "the list is never closed", "");
    expect_refused("e.json", "[{\"text\": \"a\", \"label\": 1},]", &labelled, "a value is missing", "");
    expect_refused("e.json", "[{\"text\": \"a\", \"label\": 1}]\n{}", &labelled, "more behind the end", "");
    expect_refused("e.json", "[", &labelled, "the list is never closed", "");
}

static void values_are_those_of_python(void **state)
{
    (void)state;
    expect_file(
        "a.jsonl",
        "{\"text\": \"a\\u0000b\", \"label\": true}\n{\"text\": \"\", \"label\": false}\n"
        "{\"text\": \"c\", \"label\": 123456789012345678901234567890, \"id\": -99999999999999999999}\n"
        "{\"text\": \"d 99999999999999999999\", \"label\": 2.50, \"id\": 18446744073709551615}\n"
        "{\"text\": \"e\", \"label\": 3.0}\n{\"text\": \"f\", \"label\": 1e-7}\n{\"text\": \"g\", \"label\": null}\n",
        &labelled,
        "1 a<NUL>b||True\n2 ||False\n3 c||123456789012345678901234567890\n4 d 99999999999999999999||2.5\n"
        "5 e||3.0\n6 f||1e-07\n7 g||\n");
    expect_file("b.jsonl",
                "{\"text\": 12345678901234567890, \"label\": 1}\n{\"text\": \"a\", \"label\": \"x\\u0000y\"}\n"
                "{\"text\": \"a \\ud83d\", \"label\": 1}\n",
                &labelled,
                "1 !field 'text' is not a string @b.jsonl:1\n2 !the label has a NUL in it @b.jsonl:2\n"
                "3 !not a JSON object: invalid Unicode '\\uD83D' near '\"a \\ud83d\"' @b.jsonl:3\n");
}

/* ---- prompts, conversations, plain text -------------------------------------------------------- */

static void a_prompt_has_its_completion(void **state)
{
    (void)state;
    expect_file("p.jsonl", "{\"p\": \"ask\", \"c\": \" answer\"}\n{\"p\": \"ask\"}\n{\"p\": 1, \"c\": \"x\"}\n",
                &prompts, "1 ask| answer|\n2 !no field 'c' @p.jsonl:2\n3 !field 'p' is not a string @p.jsonl:3\n");
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
    free(put_file("set/cat/b.png", "x", 1));
    free(put_file("set/cat/a.jpg", "x", 1));
    free(put_file("set/cat/.hidden", "x", 1));
    free(put_file("set/ant/c.png", "x", 1));
    free(put_file("set/.git/d.png", "x", 1));
    free(put_file("set/unsup/e.png", "x", 1));
    free(put_file("set/README", "x", 1));
    char *path = path_join(record_folder, "set");
    expect_rows(path, &images, "0 ||antant/c.png\n0 ||catcat/a.jpg\n0 ||catcat/b.png\n0 ||unsupunsup/e.png\n");
    free(path);
    free(put_file("texts/pos/1.txt", "good", 4));
    free(put_file("texts/neg/1.txt", "bad", 3));
    free(put_file("texts/unsup/1.txt", "?", 1));
    path = path_join(record_folder, "texts");
    expect_rows(path, &labelled, "0 bad||neg\n0 good||pos\n");
    free(path);
}

static void a_file_of_another_kind_is_refused(void **state)
{
    (void)state;
    expect_refused("x.conll", "a O\n", &labelled, "does not hold", ".csv, .tsv, .jsonl or .json");
    expect_refused("x.csv", "a,b\n", &words, "does not hold", ".conll");
    expect_refused("x.txt", "a\n", &prompts, "does not hold", ".jsonl");
    expect_refused("x.csv", "a\n", &talks, "does not hold", ".jsonl");
    expect_refused("x.png", "a\n", &images, "cannot be told", "folder of images a class");
    expect_refused("x.txt", "a\n", &(RecordColumns){ .kind = ROWS_TEXTS, .text = "text" }, "does not hold",
                   "data.block_size");
    Err err = { 0 };
    assert_false(records_read("/nowhere/x.conll", &words, record_note, NULL, &err));
    assert_string_equal(err.what, "there is no such file");
}

/* ---- all ----------------------------------------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_stand_between_blank_lines),
        cmocka_unit_test(a_word_without_a_tag_is_named_by_its_line),
        cmocka_unit_test(words_come_as_lists_too),
        cmocka_unit_test(a_list_of_objects_is_rows_too),
        cmocka_unit_test(values_are_those_of_python),
        cmocka_unit_test(a_prompt_has_its_completion),
        cmocka_unit_test(plain_text_is_its_lines),
        cmocka_unit_test(a_conversation_is_a_list),
        cmocka_unit_test(the_folder_of_a_file_is_its_class),
        cmocka_unit_test(a_file_of_another_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, record_case_begin, record_case_end);
}
