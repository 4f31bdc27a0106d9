/* Questions of every kind of file: the same rows give the same windows, and bad ones are refused where they stand. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/support/folder.h"
#include "tests/support/must.h"
#include "worker/data/dataset.h"
#include "worker/data/questions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char model[] = "tests/golden/bert-qa/model";

typedef struct Opened {
    ModelArch *arch;
    Tokenizer *tokenizer;
    char *folder;
} Opened;

static Opened opened;

static int open_all(void **state)
{
    Err err = { 0 };
    const StringList none = { 0 };
    (void)state;
    opened.folder = test_folder_new();
    setenv("LORA_CACHE", opened.folder, 1);
    opened.arch = arch_open(model, NULL, TASK_QUESTION_ANS, &none, 0, PROBLEM_AUTO, &err);
    opened.tokenizer = tokenizer_open(model, &err);
    return opened.arch && opened.tokenizer ? 0 : 1;
}

static int close_all(void **state)
{
    (void)state;
    arch_close(opened.arch);
    tokenizer_close(opened.tokenizer);
    test_folder_drop(opened.folder);
    return 0;
}

static DatasetOptions plain_options(void)
{
    return (DatasetOptions){ .kind = ROWS_QUESTIONS,
                             .text = "question",
                             .text_pair = "context",
                             .label = "answers",
                             .max_length = 24,
                             .doc_stride = 4,
                             .impossible = true,
                             .limit = -1,
                             .labelled = true };
}

static bool open_text(Dataset *data, const char *name, const char *text, const DatasetOptions *options, Err *err)
{
    char *path = path_join(opened.folder, name);
    char *paths[] = { path };
    const StringList files = { paths, 1 };
    DatasetOptions o = *options;
    o.files = &files;
    must(file_write(path, text, strlen(text), err), err);
    const bool ok = dataset_open(data, &o, opened.arch, opened.tokenizer, err);
    free(path);
    return ok;
}

#define CONTEXT                                                                                                        \
    "the plan na\xc3\xafve was \xe2\x80\x94 good, and the engine of the window felt so ordinary to all of us here."
#define ONE "{\"text\": [\"na\xc3\xafve\", \"good\"], \"answer_start\": [9, 21]}"
#define NONE "{\"text\": [], \"answer_start\": []}"

static const char lines[] =
    "{\"id\": \"a\", \"question\": \"  what plan?\", \"context\": \"" CONTEXT "\", \"answers\": " ONE "}\n"
    "{\"id\": \"b\", \"question\": \"who?\", \"context\": \"" CONTEXT "\", \"answers\": " NONE "}\n"
    "{\"id\": \"a\", \"question\": \"who?\", \"context\": \"\", \"answers\": null}\n";
static const char list[] =
    "[{\"question\": \"  what plan?\", \"context\": \"" CONTEXT
    "\", \"answers\": [{\"text\": \"na\xc3\xafve\", \"answer_start\": 9}, {\"answer_start\": 21, \"text\": \"good\"}]},\n"
    "{\"question\": \"who?\", \"context\": \"" CONTEXT "\", \"answers\": []},\n"
    "{\"question\": \"who?\", \"context\": \"\", \"answers\": []}]";
static const char squad[] =
    "{\"version\": \"v2.0\", \"data\": [\n"
    " {\"title\": \"[x], {y}\", \"paragraphs\": [\n"
    "  {\"qas\": [\n"
    "   {\"question\": \"  what plan?\", \"id\": \"a\", \"is_impossible\": false,\n"
    "    \"answers\": [{\"text\": \"na\xc3\xafve\", \"answer_start\": 9}, {\"text\": \"good\", \"answer_start\": 21}]},\n"
    "   {\"question\": \"who?\", \"id\": \"b\", \"answers\": [], \"plausible_answers\": [{\"text\": \"?\", \"answer_start\": 0}]}],\n"
    "   \"context\": \"" CONTEXT "\"}]},\n"
    " {\"paragraphs\": [{\"context\": \"\", \"qas\": [{\"question\": \"who?\", \"id\": \"a\", \"answers\": []}]}]},\n"
    " {\"title\": \"none\", \"paragraphs\": []}]}\n";
static const char cells[] = "id,context,question,answers\n"
                            "a,\"" CONTEXT "\",  what plan?,\"{\"\"text\"\": [\"\"na\xc3\xafve\"\", \"\"good\"\"], "
                            "\"\"answer_start\"\": [9, 21]}\"\n"
                            "b,\"" CONTEXT "\",who?,\n"
                            "a,,who?,[]\n";

static void every_kind_of_file_gives_the_same_windows(void **state)
{
    (void)state;
    const struct {
        const char *name, *text;
    } files[] = { { "a.jsonl", lines }, { "b.json", list }, { "c.json", squad }, { "d.csv", cells } };
    const DatasetOptions o = plain_options();
    uint64_t digest = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        Dataset data = { 0 };
        Err err = { 0 };
        must(open_text(&data, files[i].name, files[i].text, &o, &err), &err);
        const Questions q = questions_view(data.notes);
        assert_int_equal(q.count, 3);
        assert_int_equal(questions_answers(&q, 0), 2);
        assert_int_equal(questions_answers(&q, 1), 0);
        assert_true(q.windows > 4); /* the context is longer than a window */
        digest = i == 0 ? data.digest : digest;
        assert_int_equal(data.digest, digest);
        dataset_release(&data);
    }
}

/* Offsets are characters, also behind those of two and three bytes; windows share doc_stride tokens. */
static void windows_hold_their_part_of_the_context(void **state)
{
    (void)state;
    Dataset data = { 0 };
    Err err = { 0 };
    const DatasetOptions o = plain_options();
    must(open_text(&data, "a.jsonl", lines, &o, &err), &err);
    const Questions q = questions_view(data.notes);
    const int64_t start = data.start[0], s = (int64_t)data.goal[0], e = (int64_t)data.goal[1];
    assert_int_equal(q.offsets[2 * (start + s)], 9);
    assert_int_equal(q.offsets[2 * (start + e) + 1], 14);
    int64_t shared = 0;
    for (int64_t t = data.start[1]; t < data.start[2]; t++)
        for (int64_t u = data.start[0]; u < data.start[1]; u++)
            shared += q.offsets[2 * t] >= 0 && q.offsets[2 * t] == q.offsets[2 * u];
    assert_int_equal(shared, o.doc_stride);
    for (int64_t w = 1; w < q.windows && q.of[w] == 0; w++)
        assert_true(data.goal[2 * w] == 0 && data.goal[2 * w + 1] == 0); /* [CLS]: they do not hold the answer */
    dataset_release(&data);
}

static void expect_refused(const char *name, const char *text, const DatasetOptions *o, const char *what,
                           const char *where, const char *hint)
{
    Dataset data = { 0 };
    Err err = { 0 };
    assert_false(open_text(&data, name, text, o, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    if (!strstr(err.what, what) || !strstr(err.where, where) || !strstr(err.hint, hint))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
}

#define ROW(answers) "{\"question\": \"q\", \"context\": \"na\xc3\xafve plan\", \"answers\": " answers "}\n"
#define GOOD ROW("{\"text\": [\"plan\"], \"answer_start\": [6]}")

static void bad_answers_are_refused_with_their_line(void **state)
{
    (void)state;
    DatasetOptions o = plain_options();
    expect_refused("x.jsonl", GOOD ROW("{\"text\": [\"plan\"], \"answer_start\": [7]}"), &o,
                   "'plan' does not stand at character 7", "x.jsonl:2", "it stands at character 6");
    expect_refused("x.jsonl", ROW("{\"text\": [\"plans\"], \"answer_start\": [6]}"), &o, "does not stand", "x.jsonl:1",
                   "nor anywhere");
    expect_refused("x.jsonl", ROW("{\"text\": [\"plan\"], \"answer_start\": [-1]}"), &o, "does not stand", "x.jsonl:1",
                   "");
    expect_refused("x.jsonl", ROW("{\"text\": [\"plan\"], \"answer_start\": [900]}"), &o, "does not stand", "x.jsonl:1",
                   "");
    expect_refused("x.jsonl", ROW("{\"text\": [\"plan\", \"n\"], \"answer_start\": [6]}"), &o, "2 texts and 1 places",
                   "x.jsonl:1", "");
    expect_refused("x.jsonl", ROW("{\"text\": [\"\"], \"answer_start\": [6]}"), &o, "the answer is empty", "x.jsonl:1",
                   "empty lists");
    expect_refused("x.jsonl", ROW("\"plan\""), &o, "not of the kind", "x.jsonl:1", "answer_start");
    expect_refused("x.jsonl", ROW("[{\"text\": \"plan\", \"answer_start\": \"6\"}]"), &o, "not of the kind",
                   "x.jsonl:1", "");
    expect_refused("x.jsonl", GOOD "{\"question\": \"q\", \"context\": 3, \"answers\": null}\n", &o,
                   "field 'context' is not a string", "x.jsonl:2", "data.context");
    expect_refused("x.jsonl", "{\"question\": \"q\", \"context\": \"c\"}\n", &o, "no field 'answers'", "x.jsonl:1", "");
    expect_refused("x.csv", "question,context,answers\nq,c,not json\n", &o, "not of the kind", "x.csv:2", "");
    o.impossible = false;
    expect_refused("x.jsonl", GOOD ROW("null"), &o, "the question has no answer", "x.jsonl:2",
                   "version_2_with_negative");
}

static void windows_that_have_no_room_are_refused(void **state)
{
    (void)state;
    DatasetOptions o = plain_options();
    o.max_length = 9;
    expect_refused("x.jsonl", lines, &o, "no more than data.doc_stride", "x.jsonl:1", "lower data.doc_stride (4)");
    o.max_length = 6;
    expect_refused("x.jsonl", lines, &o, "leaves no room for the context", "x.jsonl:1", "questions are never cut");
    o.max_length = 4096;
    expect_refused("x.jsonl", lines, &o, "the model has 64 positions", "", "data.max_length");
}

static void broken_files_of_squad_are_refused_with_their_line(void **state)
{
    (void)state;
    const DatasetOptions o = plain_options();
    expect_refused(
        "x.json",
        "{\"data\": [\n{\"paragraphs\": [\n{\"context\": \"c\", \"qas\": [\n{\"question\": 7, \"answers\": []}]}]}]}",
        &o, "field 'question' is not a string", "x.json:4", "");
    expect_refused("x.json", "{\"data\": [\n{\"paragraphs\": [{\"context\": \"c\"\n, \"qas\": [}]}]}", &o, "",
                   "x.json:3", "");
    expect_refused("x.json", "{\"data\": [\n{\"paragraphs\": 5}]}", &o, "a list is expected here", "x.json:2", "");
    expect_refused("x.json", "{\"data\": [\n{\"paragraphs\": [", &o, "", "x.json", "");
    expect_refused("x.json", "{\"data\": []}", &o, "there are no examples in it", "x.json", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_file_gives_the_same_windows),
        cmocka_unit_test(windows_hold_their_part_of_the_context),
        cmocka_unit_test(bad_answers_are_refused_with_their_line),
        cmocka_unit_test(windows_that_have_no_room_are_refused),
        cmocka_unit_test(broken_files_of_squad_are_refused_with_their_line),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
