/* Rows that cannot be learnt from, and what is said of them; labels that the data itself names. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/data/label_search.h"
#include "worker/data/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- helpers ------------------------------------------------------------------------------- */

static char folder[] = "/tmp/rows_test_XXXXXX";

typedef struct Opened {
    ModelArch *arch;
    Tokenizer *tokenizer;
    Dataset data;
    Err err;
    bool ok;
} Opened;

static StringList labels_of(const char *const *names)
{
    StringList list = { 0 };
    while (names && names[list.count])
        list.count++;
    list.items = (char **)(uintptr_t)names;
    return list;
}

/* A data set of one file with these bytes, for the model of a golden case. */
static void open_rows(Opened *t, const char *model, TaskType task, const char *const *labels, const char *name,
                      const char *bytes, DatasetOptions o)
{
    *t = (Opened){ 0 };
    const StringList names = labels_of(labels);
    char *dir = model[0] == '/' ? xstrdup(model) : xprintf("tests/golden/%s/model", model);
    char *path = path_join(folder, name);
    StringList files = { &path, 1 };
    assert_true(file_write(path, bytes, strlen(bytes), &t->err));
    t->arch = arch_open(dir, NULL, task, &names, 0, PROBLEM_AUTO, &t->err);
    assert_non_null(t->arch);
    t->tokenizer = task == TASK_IMAGE_CLS ? NULL : tokenizer_open(dir, &t->err);
    o.files = &files;
    o.labelled = true;
    o.limit = o.limit ? o.limit : -1;
    t->ok = dataset_open(&t->data, &o, t->arch, t->tokenizer, &t->err);
    free(path);
    free(dir);
}

static void close_rows(Opened *t)
{
    dataset_release(&t->data);
    tokenizer_close(t->tokenizer);
    arch_close(t->arch);
}

static void expect_bad(Opened *t, const char *what, const char *where, const char *hint)
{
    assert_false(t->ok);
    if (!strstr(t->err.what, what) || !strstr(t->err.where, where) || !strstr(t->err.hint, hint))
        fail_msg("%s | %s | %s", t->err.what, t->err.where, t->err.hint);
    assert_int_equal(err_exit_code(&t->err), 2);
    close_rows(t);
}

static const char *const tags[] = { "O", "B-PER", "I-PER", NULL };
static const DatasetOptions words = { .kind = ROWS_WORDS, .tokens = "tokens", .tags = "tags", .max_length = 16 };
static const DatasetOptions prompts = { .kind = ROWS_COMPLETIONS, .text = "p", .text_pair = "c", .max_length = 16 };
static const DatasetOptions texts = { .kind = ROWS_TEXTS, .text = "text", .max_length = 8 };

/* ---- texts with a label ----------------------------------------------------------------------- */

static void a_text_without_a_token_is_bad(void **state)
{
    (void)state;
    Opened t;
    const char *const labels[] = { "no", "so", "yes", NULL };
    const DatasetOptions labelled = { .kind = ROWS_LABELLED, .text = "text", .label = "label", .max_length = 16 };
    const char *rows = "text\tlabel\nthe winter\tyes\n\tno\nthe garden\tso\n";
    open_rows(&t, "gpt2-seqcls", TASK_SEQ_CLS, labels, "e.tsv", rows, labelled);
    expect_bad(&t, "the text has no token", "e.tsv:3", "leave the empty row out");
    DatasetOptions skipping = labelled;
    skipping.skip_bad_rows = true;
    open_rows(&t, "gpt2-seqcls", TASK_SEQ_CLS, labels, "e.tsv", rows, skipping);
    assert_true(t.ok);
    assert_int_equal(t.data.count, 2);
    assert_int_equal(t.data.skipped, 1);
    close_rows(&t);
    open_rows(&t, "bert-seqcls", TASK_SEQ_CLS, labels, "e.tsv", rows, labelled); /* [CLS] [SEP] */
    assert_true(t.ok);
    close_rows(&t);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void a_tag_that_is_no_label_is_named_by_its_line(void **state)
{
    (void)state;
    Opened t;
    open_rows(&t, "bert-tokcls", TASK_TOKEN_CLS, tags, "a.conll", "a O\nb O\n\nc O\nd B-LOC\n", words);
    expect_bad(&t, "'B-LOC' is not one of the 3 labels", "a.conll:5", "O, B-PER, I-PER");
    DatasetOptions skipping = words;
    skipping.skip_bad_rows = true;
    open_rows(&t, "bert-tokcls", TASK_TOKEN_CLS, tags, "a.conll", "a O\nb O\n\nc O\nd B-LOC\n", skipping);
    assert_true(t.ok);
    assert_int_equal(t.data.count, 1);
    assert_int_equal(t.data.skipped, 1);
    close_rows(&t);
}

static void tags_may_be_class_numbers(void **state)
{
    (void)state;
    Opened t;
    open_rows(&t, "bert-tokcls", TASK_TOKEN_CLS, tags, "n.jsonl",
              "{\"tokens\": [\"the\", \"garden\"], \"tags\": [0, 2]}\n", words);
    assert_true(t.ok);
    int64_t seen = 0, sum = 0;
    for (int64_t i = 0; i < t.data.start[1]; i++) {
        seen += t.data.token_goal[i] >= 0;
        sum += t.data.token_goal[i] >= 0 ? t.data.token_goal[i] : 0;
    }
    assert_int_equal(seen, 2);
    assert_int_equal(sum, 2);
    close_rows(&t);
    open_rows(&t, "bert-tokcls", TASK_TOKEN_CLS, tags, "n.jsonl", "{\"tokens\": [\"the\"], \"tags\": [3]}\n", words);
    expect_bad(&t, "'3' is not one of", "n.jsonl:1", "");
}

static void a_sentence_without_tokens_is_bad(void **state)
{
    (void)state;
    Opened t;
    open_rows(&t, "bert-tokcls", TASK_TOKEN_CLS, tags, "e.jsonl", "{\"tokens\": [\"\", \" \"], \"tags\": [0, 0]}\n",
              words);
    expect_bad(&t, "no word of the sentence has a token", "e.jsonl:1", "");
}

/* ---- prompts and completions ------------------------------------------------------------------- */

static void a_completion_must_leave_something_to_learn(void **state)
{
    (void)state;
    Opened t;
    open_rows(&t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "e.jsonl", "{\"p\": \"the garden\", \"c\": \"\"}\n", prompts);
    expect_bad(&t, "the completion is empty", "e.jsonl:1", "");
    open_rows(&t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "l.jsonl",
              "{\"p\": \"the garden and the bridge and the winter and the map and the jacket of the garden\", "
              "\"c\": \" is red\"}\n",
              prompts);
    expect_bad(&t, "leaves none for the completion", "l.jsonl:1", "raise data.max_length (it is 16)");
}

/* As TRL's mask: as many ids as the prompt alone has are not learnt. */
static void a_shared_token_is_counted_and_not_learnt(void **state)
{
    (void)state;
    Opened t;
    open_rows(&t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "s.jsonl",
              "{\"p\": \"the gar\", \"c\": \"den is red\"}\n{\"p\": \"the garden\", \"c\": \" is red\"}\n", prompts);
    assert_true(t.ok);
    assert_int_equal(t.data.count, 2);
    assert_int_equal(t.data.shared, 1);
    Encoding prompt = { 0 }, whole = { 0 };
    const char *text = "the garden is red";
    const int32_t eos = tokenizer_special(t.tokenizer, "eos_token");
    assert_true(tokenizer_encode(t.tokenizer, "the gar", 7, NULL, 0, 0, &prompt, &t.err));
    assert_true(tokenizer_encode(t.tokenizer, text, strlen(text), NULL, 0, 0, &whole, &t.err));
    assert_int_equal(t.data.start[1], whole.count + 1);
    for (int64_t i = 0; i + 1 < t.data.start[1]; i++) {
        const int32_t next = i + 1 < whole.count ? whole.ids[i + 1] : eos;
        assert_int_equal(t.data.token_goal[i], i + 1 < prompt.count ? -100 : next);
    }
    encoding_release(&prompt);
    encoding_release(&whole);
    close_rows(&t);
    open_rows(&t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "s.jsonl", "{\"p\": \"the garden\", \"c\": \" is red\"}\n",
              prompts);
    assert_int_equal(t.data.shared, 0);
    close_rows(&t);
}

/* The same rows with the prompt as a column, and made by a form. */
static void a_form_makes_the_prompt(void **state)
{
    (void)state;
    Opened t, u;
    DatasetOptions formed = {
        .kind = ROWS_COMPLETIONS, .form = "{say}{?to} to {to}{/}:\n", .text_pair = "out", .max_length = 32
    };
    open_rows(
        &t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "p.jsonl",
        "{\"p\": \"red to blue:\\n\", \"c\": \"the map\"}\n{\"p\": \"red:\\n\", \"c\": \"map\"}\n{\"p\": \"7:\\n\", \"c\": \"x\"}\n",
        prompts);
    assert_true(t.ok);
    const char *const files[] = { "f.csv", "f.json" };
    const char *const bytes[] = {
        "say,to,out\nred,blue,the map\nred,,map\n7,,x\n",
        "[{\"say\": \"red\", \"to\": \"blue\", \"out\": \"the map\"}, {\"say\": \"red\", \"to\": null, \"out\": "
        "\"map\"},\n{\"say\": 7, \"out\": \"x\"}]"
    };
    for (int i = 0; i < 2; i++) {
        open_rows(&u, "gpt2-clm", TASK_CAUSAL_LM, NULL, files[i], bytes[i], formed);
        assert_true(u.ok);
        assert_int_equal(u.data.count, 3);
        assert_memory_equal(u.data.ids, t.data.ids, (size_t)t.data.start[3] * sizeof *t.data.ids);
        assert_memory_equal(u.data.token_goal, t.data.token_goal, (size_t)t.data.start[3] * sizeof *t.data.ids);
        close_rows(&u);
    }
    close_rows(&t);
    formed.form = "{say} {who}";
    open_rows(&u, "gpt2-clm", TASK_CAUSAL_LM, NULL, "f.csv", bytes[0], formed);
    expect_bad(&u, "no column or field 'who'", "f.csv:2", "{?who}...{/}");
    formed.form = "{say}";
    open_rows(&u, "gpt2-clm", TASK_CAUSAL_LM, NULL, "g.jsonl", "{\"say\": [1], \"out\": \"x\"}\n", formed);
    expect_bad(&u, "field 'say' is neither a text nor a number", "g.jsonl:1", "");
}

static void only_the_completion_and_the_end_are_learnt(void **state)
{
    (void)state;
    Opened t;
    open_rows(&t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "g.jsonl", "{\"p\": \"the garden\", \"c\": \" is red\"}\n",
              prompts);
    assert_true(t.ok);
    const int64_t n = t.data.start[1];
    Encoding prompt = { 0 };
    assert_true(tokenizer_encode(t.tokenizer, "the garden", 10, NULL, 0, 0, &prompt, &t.err));
    for (int64_t i = 0; i < n; i++) {
        const bool learnt = i + 1 >= prompt.count && i + 1 < n;
        assert_int_equal(t.data.token_goal[i], learnt ? t.data.ids[i + 1] : -100);
    }
    assert_int_equal(t.data.ids[n - 1], tokenizer_special(t.tokenizer, "eos_token"));
    encoding_release(&prompt);
    close_rows(&t);
}

/* ---- conversations ------------------------------------------------------------------------------------ */

static const char chatml[] = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
                             "{% if add_generation_prompt %}<assistant>{% endif %}";

/* The model of gpt2-clm with a chat template beside it; owned. */
static char *chat_model(void)
{
    static const char *const names[] = { "config.json", "tokenizer.json", "tokenizer_config.json" };
    Err err = { 0 };
    char *dir = path_join(folder, "chat");
    assert_true(folder_make(dir, &err));
    for (size_t i = 0; i < 3; i++) {
        char *from = path_join("tests/golden/gpt2-clm/model", names[i]), *to = path_join(dir, names[i]);
        assert_true(file_copy(from, to, &err));
        free(from);
        free(to);
    }
    char *path = path_join(dir, "chat_template.jinja");
    assert_true(file_write(path, chatml, strlen(chatml), &err));
    free(path);
    return dir;
}

/* What is learnt of the first example, as a text. */
static void expect_learnt(const Opened *t, const char *want)
{
    Text got = { 0 };
    for (int64_t i = 0; i < t->data.start[1]; i++)
        if (t->data.token_goal[i] != -100) {
            assert_int_equal(t->data.token_goal[i], t->data.ids[i + 1]);
            tokenizer_decode(t->tokenizer, &t->data.token_goal[i], 1, false, &got);
        }
    assert_string_equal(got.data ? got.data : "", want);
    text_release(&got);
}

static void what_the_assistant_says_is_learnt(void **state)
{
    (void)state;
    Opened t;
    char *dir = chat_model();
    const char *talk =
        "{\"m\": [{\"role\": \"user\", \"content\": \"the gard\u00ebn\"}, {\"role\": \"assistant\", "
        "\"content\": \"is red\"}, {\"role\": \"user\", \"content\": \"and\"}, {\"role\": \"assistant\", "
        "\"content\": \"blue\"}]}\n";
    DatasetOptions o = { .kind = ROWS_MESSAGES, .messages = "m", .max_length = 96 };
    open_rows(&t, dir, TASK_CAUSAL_LM, NULL, "m.jsonl", talk, o);
    assert_true(t.ok);
    expect_learnt(&t, "is red</s>blue</s>");
    const int64_t n = t.data.start[1];
    close_rows(&t);
    o.system = "the map"; /* "<system>the map</s>" before it */
    open_rows(&t, dir, TASK_CAUSAL_LM, NULL, "m.jsonl", talk, o);
    assert_true(t.ok);
    expect_learnt(&t, "is red</s>blue</s>");
    assert_true(t.data.start[1] > n);
    Text begin = { 0 };
    tokenizer_decode(t.tokenizer, t.data.ids, t.data.start[1] - n, false, &begin);
    assert_string_equal(begin.data, "<system>the map</s>");
    text_release(&begin);
    close_rows(&t);
    open_rows(
        &t, dir, TASK_CAUSAL_LM, NULL, "m.jsonl",
        "{\"m\": [{\"role\": \"system\", \"content\": \"x\"}, {\"role\": \"assistant\", \"content\": \"red\"}]}\n", o);
    assert_true(t.ok);
    tokenizer_decode(t.tokenizer, t.data.ids, t.data.start[1], false, &begin);
    assert_string_equal(begin.data, "<system>x</s><assistant>red</s>");
    text_release(&begin);
    close_rows(&t);
    o.system = NULL;
    o.max_length = 4;
    open_rows(&t, dir, TASK_CAUSAL_LM, NULL, "m.jsonl", talk, o);
    expect_bad(&t, "among the first 4 tokens", "m.jsonl:1", "data.max_length");
    o.max_length = 64;
    open_rows(&t, dir, TASK_CAUSAL_LM, NULL, "m.jsonl", "{\"m\": [{\"role\": \"user\", \"content\": \"x\"}]}\n", o);
    expect_bad(&t, "the assistant says nothing", "m.jsonl:1", "");
    open_rows(&t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "m.jsonl", talk, o);
    expect_bad(&t, "chat", "", "");
    free(dir);
}

/* ---- plain text -------------------------------------------------------------------------------------- */

static void a_text_is_learnt_with_its_end(void **state)
{
    (void)state;
    Opened t;
    open_rows(&t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "t.jsonl",
              "{\"text\": \"red\"}\n{\"text\": \"the garden is red and the bridge is blue and the winter too\"}\n",
              texts);
    assert_true(t.ok);
    assert_int_equal(t.data.count, 2);
    assert_int_equal(t.data.ids[t.data.start[1] - 1], tokenizer_special(t.tokenizer, "eos_token"));
    assert_int_equal(t.data.start[2] - t.data.start[1], 8); /* cut */
    assert_int_equal(t.data.token_goal[t.data.start[1] - 2], t.data.ids[t.data.start[1] - 1]);
    close_rows(&t);
    open_rows(&t, "gpt2-clm", TASK_CAUSAL_LM, NULL, "t.jsonl", "{\"text\": \"\"}\n", texts);
    expect_bad(&t, "nothing to predict", "t.jsonl:1", "");
}

static void blocks_go_over_the_ends_of_lines(void **state)
{
    (void)state;
    Opened t;
    const DatasetOptions o = { .kind = ROWS_BLOCKS, .text = "text", .max_length = 4, .block_size = 5 };
    const char *lines = "the garden is red\nand the bridge\nis blue\n\nthe winter was dull\n";
    open_rows(&t, "gpt2-text", TASK_CAUSAL_LM, NULL, "b.txt", lines, o);
    assert_true(t.ok);
    int32_t ids[256];
    int64_t n = 0;
    Encoding e = { 0 };
    for (const char *at = lines, *end; (end = strchr(at, '\n')); at = end + 1) {
        assert_true(tokenizer_encode(t.tokenizer, at, (size_t)(end + 1 - at), NULL, 0, 0, &e, &t.err));
        for (int64_t i = 0; i < e.count; i++)
            ids[n++] = e.ids[i];
    }
    assert_int_equal(t.data.count, n / 5);
    assert_memory_equal(t.data.ids, ids, (size_t)(n / 5 * 5) * sizeof *ids);
    assert_int_equal(t.data.token_goal[3], ids[4]);
    assert_int_equal(t.data.token_goal[4], -100);
    encoding_release(&e);
    close_rows(&t);
    const DatasetOptions large = { .kind = ROWS_BLOCKS, .text = "text", .block_size = 64 };
    open_rows(&t, "gpt2-text", TASK_CAUSAL_LM, NULL, "b.txt", "red\n", large);
    expect_bad(&t, "fewer than one block", "", "data.block_size (it is 64)");
    const DatasetOptions over = { .kind = ROWS_BLOCKS, .text = "text", .block_size = 100000 };
    open_rows(&t, "gpt2-text", TASK_CAUSAL_LM, NULL, "b.txt", "red\n", over);
    expect_bad(&t, "data.block_size is 100000, the model has", "", "or less");
}

/* ---- images ----------------------------------------------------------------------------------------------- */

static void a_damaged_image_is_a_bad_row(void **state)
{
    (void)state;
    static const char *const classes[] = { "cat", "dog", NULL };
    const StringList names = labels_of(classes);
    Err err = { 0 };
    char *cat = path_join(folder, "pictures/cat"), *dog = path_join(folder, "pictures/dog");
    char *good = path_join(cat, "a.png"), *bad = path_join(dog, "b.png"), *root = path_join(folder, "pictures");
    StringList files = { &root, 1 };
    assert_true(folder_make(cat, &err) && folder_make(dog, &err) &&
                file_copy("tests/golden/vit-imgcls/train/bars/000.png", good, &err) &&
                file_write(bad, "\x89PNG\r\n\x1a\n????", 12, &err));
    ModelArch *arch = arch_open("tests/golden/vit-imgcls/model", NULL, TASK_IMAGE_CLS, &names, 0, PROBLEM_AUTO, &err);
    assert_non_null(arch);
    const DatasetOptions o = { .kind = ROWS_IMAGES, .files = &files, .limit = -1, .labelled = true };
    Dataset data;
    Pictures pictures;
    PicturesOptions p = { .files = &files };
    assert_true(dataset_open(&data, &o, arch, NULL, &err));
    assert_int_equal(data.count, 2);
    assert_string_equal(data.images + data.image_at[0], "0:cat/a.png");
    assert_int_equal(data.start[1], arch->positions);
    assert_false(pictures_open(&pictures, &data, arch, &p, &err));
    assert_non_null(strstr(err.where, "dog/b.png"));
    assert_int_equal(err_exit_code(&err), 2);
    pictures_close(&pictures);
    err = (Err){ 0 };
    p.skip_bad_rows = true;
    assert_true(pictures_open(&pictures, &data, arch, &p, &err));
    assert_int_equal(pictures.good_count, 1);
    assert_int_equal(pictures.good[0], 0);
    pictures_close(&pictures);
    dataset_release(&data);
    arch_close(arch);
    free(cat);
    free(dog);
    free(good);
    free(bad);
    free(root);
}

/* ---- labels that the data names ------------------------------------------------------------------------------ */

/* "a b c", or what is wrong. */
static void expect_labels(DatasetOptions o, ProblemType problem, const char *name, const char *bytes, const char *want)
{
    char *path = path_join(folder, name);
    StringList files = { &path, 1 };
    LabelsFound found;
    Err err = { 0 };
    Text got = { 0 };
    o.files = &files;
    o.limit = -1;
    assert_true(!bytes || file_write(path, bytes, strlen(bytes), &err));
    if (label_search(&found, &o, problem, &err))
        text_addf(&got, "%s%lld:", found.problem == PROBLEM_MULTI_LABEL ? "many " : "", (long long)found.count);
    else
        text_addf(&got, "!%s @%s", err.what, path_name(err.where));
    for (int i = 0; err.kind == ERR_NONE && i < found.names.count; i++)
        text_addf(&got, " %s", found.names.items[i]);
    assert_string_equal(got.data, want);
    text_release(&got);
    labels_found_release(&found);
    free(path);
}

static void labels_are_found_in_tags_and_folders(void **state)
{
    (void)state;
    const ProblemType automatic = PROBLEM_AUTO;
    expect_labels(words, automatic, "found.conll", "a O\nb B-PER\n\nc I-PER\nd O\n", "3: B-PER I-PER O");
    expect_labels(words, automatic, "found.jsonl", "{\"tokens\": [\"a\", \"b\", \"c\"], \"tags\": [10, 9, 10]}\n",
                  "2: 9 10");
    expect_labels((DatasetOptions){ .kind = ROWS_IMAGES }, automatic, "pictures", NULL, "2: cat dog");
}

static const DatasetOptions labelled = { .kind = ROWS_LABELLED, .text = "t", .label = "l" };

static void labels_are_found_in_rows(void **state)
{
    (void)state;
    const ProblemType automatic = PROBLEM_AUTO;
    expect_labels(labelled, automatic, "l.csv", "t,l\na,C:\\new\nb,\"so \"\"x\"\"\"\n", "2: C:\\new so \"x\"");
    expect_labels(labelled, automatic, "l.jsonl", "{\"t\": \"a\", \"l\": true}\n{\"t\": \"a\", \"l\": false}\n",
                  "2: False True");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,10\nb,9\nc,1\n", "3: 1 9 10");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,x\nb,x\n",
                  "!all labels are 'x': there is nothing to tell apart @l.csv");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,1.5\nb,2\nc,1e1\n",
                  "!the labels are numbers with decimals, as 1.5: 3 different ones @l.csv");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,1.5\nb,v2.0\n", "2: 1.5 v2.0");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,\"3,5\"\nb,2\nc,\"-1.234,25\"\n",
                  "!the labels are numbers with decimals, as 3,5: 3 different ones @l.csv");
    expect_labels(labelled, automatic, "l.tsv", "t\tl\na\t4\nb\t1 234,5\n",
                  "!the labels are numbers with decimals, as 1 234,5: 2 different ones @l.tsv");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,\"1,2,3\"\nb,\"2,3\"\n", "2: 1,2,3 2,3");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,\"3,\"\nb,\"1.23,5\"\n", "2: 1.23,5 3,");
    expect_labels(labelled, PROBLEM_SINGLE_LABEL, "l.csv", "t,l\na,\"1,5\"\nb,\"2,5\"\n", "2: 1,5 2,5");
    expect_labels(labelled, PROBLEM_SINGLE_LABEL, "l.csv", "t,l\na,1.5\nb,2.5\n", "2: 1.5 2.5");
}

static void lists_in_a_table_are_no_classes(void **state)
{
    (void)state;
    const ProblemType automatic = PROBLEM_AUTO;
    expect_labels(labelled, automatic, "l.csv", "t,l\na,\"[0, 1]\"\nb,\"[1, 0]\"\n",
                  "!the labels are lists written as texts, as [0, 1] @l.csv");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,\"['x', 'y']\"\n",
                  "!the labels are lists written as texts, as ['x', 'y'] @l.csv");
    expect_labels(labelled, automatic, "l.csv", "t,l\na,[X]\nb,y\n", "2: [X] y");
}

static void several_labels_a_row_are_understood(void **state)
{
    (void)state;
    const ProblemType automatic = PROBLEM_AUTO;
    expect_labels(labelled, automatic, "m.jsonl",
                  "{\"t\": \"a\", \"l\": [1, 0, 0]}\n{\"t\": \"b\", \"l\": [false, true, true]}\n", "many 3:");
    expect_labels(labelled, automatic, "m.jsonl",
                  "{\"t\": \"a\", \"l\": [\"sad\", \"mad\"]}\n{\"t\": \"b\", \"l\": []}\n", "many 2: mad sad");
    expect_labels(labelled, automatic, "m.jsonl", "{\"t\": \"a\", \"l\": [1, 0]}\n{\"t\": \"b\", \"l\": [1]}\n",
                  "!the list of labels has 1 numbers, the rows before have 2 @m.jsonl:2");
    expect_labels(labelled, automatic, "m.jsonl", "{\"t\": \"a\", \"l\": [1, 0]}\n{\"t\": \"b\", \"l\": 1}\n",
                  "!1 rows have a list of labels, 1 a single one @m.jsonl");
    expect_labels(labelled, PROBLEM_SINGLE_LABEL, "m.jsonl", "{\"t\": \"a\", \"l\": [1, 0]}\n",
                  "!problem_type is single_label_classification, and the labels are lists @m.jsonl");
}

/* What would make a label of nothing is told at its line, and by nobody behind it. */
static void a_row_without_a_good_label_is_told_at_its_line(void **state)
{
    (void)state;
    const ProblemType automatic = PROBLEM_AUTO;
    expect_labels(labelled, automatic, "b.jsonl", "{\"t\": \"a\", \"l\": \"x\"}\n{\"t\": \"b\", \"l\": \"\"}\n",
                  "!the label is empty @b.jsonl:2");
    expect_labels(labelled, automatic, "b.jsonl", "{\"t\": \"a\", \"l\": \"x\"}\n{\"t\": \"b\" \"l\": \"y\"}\n",
                  "!not a JSON object: '}' expected near '\"l\"' @b.jsonl:2");
    for (int other = 0; other < 2; other++) /* with one other label, and with two */
        expect_labels(labelled, automatic, "b.jsonl",
                      other
                          ? "{\"t\": \"b\", \"l\": \"x\"}\n{\"t\": \"b\", \"l\": \"y\"}\n{\"t\": \"a\", \"l\": null}\n"
                          : "{\"t\": \"b\", \"l\": \"x\"}\n\n{\"t\": \"a\", \"l\": null}\n",
                      "!the row has no label @b.jsonl:3");
    expect_labels(labelled, automatic, "b.csv", "t,l\na,x\nb,\xFF\n", "!the label is not valid UTF-8 @b.csv:3");
    expect_labels(labelled, automatic, "b.jsonl", "{\"t\": \"a\", \"l\": [1, {}]}\n",
                  "!item 2 of the list of labels is neither a name nor 0 or 1 @b.jsonl:1");
    DatasetOptions skipping = labelled;
    skipping.skip_bad_rows = true;
    expect_labels(skipping, automatic, "b.csv", "t,l\na,x\nb,\xFF\nc,y\n", "2: x y");
    expect_labels(skipping, automatic, "b.jsonl",
                  "{\"t\": \"a\", \"l\": \"x\"}\n{\"t\": \"b\", \"l\": null}\n{\"t\": \"c\", \"l\": \"y\"}\n",
                  "2: x y");
    Opened t;
    open_rows(&t, "bert-seqcls", TASK_SEQ_CLS, tags, "r.csv", "t,l\na,\"0,5\"\n",
              (DatasetOptions){ .kind = ROWS_LABELLED, .text = "t", .label = "l", .max_length = 8 });
    expect_bad(&t, "'0,5' is not one of the 3 labels", "r.csv:2", "the labels are");
    open_rows(&t, "bert-seqcls", TASK_SEQ_CLS, tags, "m.jsonl", "{\"t\": \"a\", \"l\": [\"O\"]}\n",
              (DatasetOptions){ .kind = ROWS_LABELLED, .text = "t", .label = "l", .max_length = 8 });
    expect_bad(&t, "the label is a list", "m.jsonl:1", "problem_type: multi_label_classification, and labels:");
    open_rows(&t, "bert-seqcls", TASK_SEQ_CLS, tags, "m.csv", "t,l\na,0.5\n",
              (DatasetOptions){ .kind = ROWS_LABELLED, .text = "t", .label = "l", .max_length = 8 });
    expect_bad(&t, "'0.5' is not one of the 3 labels", "m.csv:2", "problem_type: regression");
}

static void a_truth_value_counts_as_python_counts_it(void **state)
{
    (void)state;
    Opened t;
    open_rows(&t, "bert-seqcls", TASK_SEQ_CLS, tags, "t.jsonl",
              "{\"t\": \"a\", \"l\": true}\n{\"t\": \"a\", \"l\": false}\n{\"t\": \"a\", \"l\": 1}\n",
              (DatasetOptions){ .kind = ROWS_LABELLED, .text = "t", .label = "l", .max_length = 8 });
    assert_true(t.ok);
    assert_true(t.data.goal[0] == 1.0f && t.data.goal[1] == 0.0f && t.data.goal[2] == 1.0f);
    close_rows(&t);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && setenv("LORA_CACHE", folder, 1) == 0 ? 0 : 1;
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
        cmocka_unit_test(a_text_without_a_token_is_bad),
        cmocka_unit_test(a_tag_that_is_no_label_is_named_by_its_line),
        cmocka_unit_test(tags_may_be_class_numbers),
        cmocka_unit_test(a_sentence_without_tokens_is_bad),
        cmocka_unit_test(a_damaged_image_is_a_bad_row),
        cmocka_unit_test(labels_are_found_in_tags_and_folders),
        cmocka_unit_test(labels_are_found_in_rows),
        cmocka_unit_test(lists_in_a_table_are_no_classes),
        cmocka_unit_test(several_labels_a_row_are_understood),
        cmocka_unit_test(a_row_without_a_good_label_is_told_at_its_line),
        cmocka_unit_test(a_truth_value_counts_as_python_counts_it),
        cmocka_unit_test(a_completion_must_leave_something_to_learn),
        cmocka_unit_test(a_shared_token_is_counted_and_not_learnt),
        cmocka_unit_test(a_form_makes_the_prompt),
        cmocka_unit_test(only_the_completion_and_the_end_are_learnt),
        cmocka_unit_test(what_the_assistant_says_is_learnt),
        cmocka_unit_test(a_text_is_learnt_with_its_end),
        cmocka_unit_test(blocks_go_over_the_ends_of_lines),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
