#include "worker/tokenizer/tokenizer.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN "tests/golden/tokenizers/"
#define FIXTURES "tests/worker/tokenizer/fixtures/tokenizer/"

/* ---- helpers --------------------------------------------------------------- */

static Tokenizer *opened(const char *folder)
{
    Err err = { 0 };
    Tokenizer *tokenizer = tokenizer_open(folder, &err);
    if (!tokenizer)
        fail_msg("%s: %s", err.where, err.what);
    return tokenizer;
}

static Tokenizer *opened_from(const char *name, const char *text, Err *err)
{
    char *folder = test_folder_new();
    test_folder_write(folder, name, text);
    Tokenizer *tokenizer = tokenizer_open(folder, err);
    test_folder_drop(folder);
    return tokenizer;
}

static void expect_list(const char *what, const char *text, const int32_t *have, int64_t count, const json_t *want)
{
    bool same = (int64_t)json_array_size(want) == count;
    for (int64_t i = 0; same && i < count; i++)
        same = json_integer_value(json_array_get(want, (size_t)i)) == have[i];
    if (same)
        return;
    char *wanted = json_dumps(want, 0);
    print_error("wanted %s\ngot   ", wanted);
    for (int64_t i = 0; i < count; i++)
        print_error(" %d", have[i]);
    fail_msg("%s of \"%s\" differ", what, text);
}

/* Calls `check` with each JSON line of a file; how many there were. */
static int for_lines(const char *path, void (*check)(const json_t *line, void *with), void *with)
{
    Err err = { 0 };
    size_t size = 0;
    char *data = file_read(path, &size, &err);
    if (!data)
        fail_msg("%s: %s", path, err.what);
    int count = 0;
    for (char *line = strtok(data, "\n"); line; line = strtok(NULL, "\n"), count++) {
        json_t *value = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        check(value, with);
        json_decref(value);
    }
    free(data);
    return count;
}

/* ---- golden ---------------------------------------------------------------- */

typedef struct Work {
    Tokenizer *tokenizer;
    Encoding encoding;
} Work;

static void expect_offsets(const char *text, const Encoding *encoding, const json_t *want)
{
    json_t *flat = json_array();
    for (size_t i = 0; i < json_array_size(want); i++)
        for (size_t k = 0; k < 2; k++)
            json_array_append(flat, json_array_get(json_array_get(want, i), k));
    expect_list("offsets", text, encoding->offsets, 2 * encoding->count, flat);
    json_decref(flat);
}

/* At once, and token by token. */
static void expect_decoded(const Work *work, const json_t *want)
{
    const Encoding *encoding = &work->encoding;
    Text whole = { 0 }, stream = { 0 };
    tokenizer_decode(work->tokenizer, encoding->ids, encoding->count, true, &whole);
    if (strcmp(whole.data, json_string_value(want)) != 0)
        fail_msg("wanted \"%s\", decoded \"%s\"", json_string_value(want), whole.data);
    DecodeStream *decoder = decode_stream_new(work->tokenizer, true);
    for (int64_t i = 0; i < encoding->count; i++) {
        const size_t before = stream.size;
        decode_stream_add(decoder, encoding->ids[i], &stream);
        assert_int_equal(text_utf8_valid(stream.data + before, stream.size - before), stream.size - before);
    }
    decode_stream_end(decoder, &stream);
    assert_int_equal(stream.size, whole.size);
    assert_memory_equal(stream.data ? stream.data : "", whole.data, whole.size);
    decode_stream_free(decoder);
    text_release(&whole);
    text_release(&stream);
}

static void check_vector(const json_t *line, void *with)
{
    Work *work = with;
    Err err = { 0 };
    const json_t *text = json_object_get(line, "text");
    assert_true(tokenizer_encode(work->tokenizer, json_string_value(text), json_string_length(text), NULL, 0, 0,
                                 &work->encoding, &err));
    expect_list("ids", json_string_value(text), work->encoding.ids, work->encoding.count, json_object_get(line, "ids"));
    expect_offsets(json_string_value(text), &work->encoding, json_object_get(line, "offsets"));
    expect_decoded(work, json_object_get(line, "decoded"));
}

static void check_pair(const json_t *line, void *with)
{
    Work *work = with;
    Err err = { 0 };
    const json_t *a = json_object_get(line, "a"), *b = json_object_get(line, "b");
    assert_true(tokenizer_encode(work->tokenizer, json_string_value(a), json_string_length(a), json_string_value(b),
                                 json_string_length(b), json_integer_value(json_object_get(line, "max_length")),
                                 &work->encoding, &err));
    expect_list("ids", json_string_value(a), work->encoding.ids, work->encoding.count, json_object_get(line, "ids"));
    if (tokenizer_has_types(work->tokenizer)) /* else all are 0, whatever the template says */
        expect_list("types", json_string_value(a), work->encoding.types, work->encoding.count,
                    json_object_get(line, "type_ids"));
    for (int64_t i = 0; !tokenizer_has_types(work->tokenizer) && i < work->encoding.count; i++)
        assert_int_equal(work->encoding.types[i], 0);
}

static void check_golden(const char *folder)
{
    Work work = { .tokenizer = opened(folder) };
    char *vectors = path_join(folder, "vectors.jsonl"), *pairs = path_join(folder, "pairs.jsonl");
    assert_int_equal(for_lines(vectors, check_vector, &work), 475);
    assert_int_equal(for_lines(pairs, check_pair, &work), 100);
    free(vectors);
    free(pairs);
    encoding_release(&work.encoding);
    tokenizer_close(work.tokenizer);
}

static void cased_texts_and_pairs_are_those_of_tokenizers(void **state)
{
    (void)state;
    check_golden(GOLDEN "bert-cased");
}

static void uncased_texts_and_pairs_are_those_of_tokenizers(void **state)
{
    (void)state;
    check_golden(GOLDEN "bert-uncased");
}

static void gpt2_texts_and_pairs_are_those_of_tokenizers(void **state)
{
    (void)state;
    check_golden(GOLDEN "gpt2");
}

static void roberta_texts_and_pairs_are_those_of_tokenizers(void **state)
{
    (void)state;
    check_golden(GOLDEN "roberta");
}

static void qwen2_texts_and_pairs_are_those_of_tokenizers(void **state)
{
    (void)state;
    check_golden(GOLDEN "qwen2");
}

static void llama_texts_and_pairs_are_those_of_tokenizers(void **state)
{
    (void)state;
    check_golden(GOLDEN "llama");
}

/* The golden texts with the tokenizer that these files of the folder make. */
static void check_files(const char *folder, const char *const *files, int count)
{
    Err err = { 0 };
    char *copy = test_folder_new();
    for (int i = 0; i < count; i++) {
        char *from = path_join(folder, files[i]), *to = path_join(copy, files[i]);
        assert_true(file_copy(from, to, &err));
        free(from);
        free(to);
    }
    Work work = { .tokenizer = opened(copy) };
    char *vectors = path_join(folder, "vectors.jsonl"), *pairs = path_join(folder, "pairs.jsonl");
    for_lines(vectors, check_vector, &work);
    for_lines(pairs, check_pair, &work);
    free(vectors);
    free(pairs);
    encoding_release(&work.encoding);
    tokenizer_close(work.tokenizer);
    test_folder_drop(copy);
}

static void vocab_txt_gives_the_same_as_tokenizer_json(void **state)
{
    (void)state;
    static const char *const files[] = { "vocab.txt", "tokenizer_config.json" };
    check_files(GOLDEN "bert-cased", files, 2);
    check_files(GOLDEN "bert-uncased", files, 2);
}

static void vocab_json_and_merges_give_the_same_as_tokenizer_json(void **state)
{
    (void)state;
    static const char *const files[] = { "vocab.json", "merges.txt", "tokenizer_config.json",
                                         "special_tokens_map.json" };
    check_files(GOLDEN "gpt2", files, 4);
    check_files(GOLDEN "roberta", files, 4);
}

/* ---- kinds ----------------------------------------------------------------- */

static void encode_case(Work *work, const json_t *one)
{
    enum { MOST_WORDS = 8 };
    Err err = { 0 };
    const json_t *text = json_object_get(one, "text"), *split = json_object_get(one, "split");
    if (text) {
        assert_true(tokenizer_encode(work->tokenizer, json_string_value(text), json_string_length(text), NULL, 0, 0,
                                     &work->encoding, &err));
        return;
    }
    const char *words[MOST_WORDS];
    size_t sizes[MOST_WORDS];
    const size_t count = json_array_size(split);
    assert_true(count > 0 && count <= MOST_WORDS);
    for (size_t i = 0; i < count; i++) {
        words[i] = json_string_value(json_array_get(split, i));
        sizes[i] = json_string_length(json_array_get(split, i));
    }
    const WordList list = { words, sizes, (int64_t)count };
    assert_true(tokenizer_encode_words(work->tokenizer, &list, 0, &work->encoding, &err));
}

static void check_case(Work *work, const json_t *one)
{
    char *name = json_dumps(one, JSON_COMPACT);
    const Encoding *encoding = &work->encoding;
    encode_case(work, one);
    expect_list("ids", name, encoding->ids, encoding->count, json_object_get(one, "ids"));
    expect_list("words", name, encoding->words, encoding->count, json_object_get(one, "words"));
    expect_offsets(name, encoding, json_object_get(one, "offsets"));
    const json_t *decoded = json_object_get(one, "decoded");
    if (json_is_string(decoded))
        expect_decoded(work, decoded);
    free(name);
}

static void check_kind(const json_t *line, void *with)
{
    (void)with;
    Err err = { 0 };
    char *text = json_dumps(json_object_get(line, "tokenizer"), 0);
    Work work = { .tokenizer = opened_from("tokenizer.json", text, &err) };
    if (!work.tokenizer)
        fail_msg("%s: %s", err.where, err.what);
    free(text);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(line, "cases"), i, one) check_case(&work, one);
    encoding_release(&work.encoding);
    tokenizer_close(work.tokenizer);
}

static void every_kind_of_part_does_what_tokenizers_does(void **state)
{
    const char *other = *state;
    assert_true(for_lines(other ? other : FIXTURES "kinds.jsonl", check_kind, NULL) > 110);
}

/* ---- questions ------------------------------------------------------------- */

static void size_and_ids_are_those_of_the_vocabulary(void **state)
{
    (void)state;
    Tokenizer *tokenizer = opened(GOLDEN "bert-cased");
    assert_int_equal(tokenizer_size(tokenizer), 600);
    assert_int_equal(tokenizer_id(tokenizer, "[PAD]"), 0);
    assert_int_equal(tokenizer_id(tokenizer, "[SEP]"), 3);
    assert_int_equal(tokenizer_id(tokenizer, "no such token"), -1);
    tokenizer_close(tokenizer);
}

static void two_tokenizers_have_digests_of_their_own(void **state)
{
    (void)state;
    Tokenizer *cased = opened(GOLDEN "bert-cased"), *uncased = opened(GOLDEN "bert-uncased");
    Tokenizer *again = opened(GOLDEN "bert-cased");
    assert_true(tokenizer_digest(cased) != tokenizer_digest(uncased));
    assert_true(tokenizer_digest(cased) == tokenizer_digest(again));
    tokenizer_close(cased);
    tokenizer_close(uncased);
    tokenizer_close(again);
}

static bool has_types_with(const char *config)
{
    Err err = { 0 };
    char *folder = test_folder_new(), *copy = path_join(folder, "tokenizer.json");
    assert_true(file_copy(GOLDEN "bert-cased/tokenizer.json", copy, &err));
    if (config)
        test_folder_write(folder, "tokenizer_config.json", config);
    Tokenizer *tokenizer = opened(folder);
    const bool types = tokenizer_has_types(tokenizer);
    tokenizer_close(tokenizer);
    free(copy);
    test_folder_drop(folder);
    return types;
}

static void types_are_there_when_the_model_takes_them(void **state)
{
    (void)state;
    assert_true(has_types_with(NULL));
    assert_true(has_types_with("{\"tokenizer_class\": \"BertTokenizer\"}"));
    assert_false(has_types_with("{\"tokenizer_class\": \"DistilBertTokenizerFast\"}"));
    assert_false(has_types_with("{\"model_input_names\": [\"input_ids\"]}"));
    assert_true(has_types_with("{\"tokenizer_class\": \"DistilBertTokenizer\", "
                               "\"model_input_names\": [\"token_type_ids\"]}"));
}

static void a_single_text_is_cut_at_its_right(void **state)
{
    (void)state;
    Err err = { 0 };
    Encoding whole = { 0 }, cut = { 0 };
    Tokenizer *tokenizer = opened(GOLDEN "bert-cased");
    const char text[] = "The garden was lovely.";
    assert_true(tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, 0, &whole, &err));
    assert_true(tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, 4, &cut, &err));
    assert_int_equal(cut.count, 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cut.ids[i], whole.ids[i]);
    assert_int_equal(cut.ids[3], tokenizer_id(tokenizer, "[SEP]"));
    encoding_release(&whole);
    encoding_release(&cut);
    tokenizer_close(tokenizer);
}

/* ---- errors ---------------------------------------------------------------- */

static void max_length_without_room_is_an_error(void **state)
{
    (void)state;
    Err err = { 0 };
    Encoding encoding = { 0 };
    Tokenizer *tokenizer = opened(GOLDEN "bert-cased");
    assert_false(tokenizer_encode(tokenizer, "a", 1, NULL, 0, 2, &encoding, &err));
    assert_string_equal(err.what, "max_length 2 leaves no room beside the 2 special tokens");
    assert_int_equal(err.kind, ERR_INPUT);
    assert_false(tokenizer_encode(tokenizer, "a", 1, "b", 1, 3, &encoding, &err));
    assert_true(tokenizer_encode(tokenizer, "a", 1, "b", 1, 4, &encoding, &err));
    assert_int_equal(encoding.count, 4);
    encoding_release(&encoding);
    tokenizer_close(tokenizer);
}

static void refused(const char *file, const char *text, const char *what)
{
    Err err = { 0 };
    Tokenizer *tokenizer = opened_from(file, text, &err);
    if (tokenizer)
        fail_msg("was opened: %s", text);
    if (!strstr(err.what, what))
        fail_msg("wanted \"%s\", got \"%s\"", what, err.what);
    assert_int_equal(err.kind, ERR_INPUT);
    if (!strstr(err.where, file))
        fail_msg("\"%s\" does not name %s", err.where, file);
}

#define VOCAB "{\"[UNK]\": 0, \"a\": 1, \"##b\": 2}"
#define MODEL(vocab) "\"model\": {\"type\": \"WordPiece\", \"vocab\": " vocab "}"
#define TEMPLATE(token, id)                                                                                            \
    "\"post_processor\": {\"type\": \"TemplateProcessing\", "                                                          \
    "\"single\": [{\"SpecialToken\": {\"id\": \"X\"}}, {\"Sequence\": {\"id\": \"A\"}}], "                             \
    "\"pair\": [{\"Sequence\": {\"id\": \"A\"}}, {\"Sequence\": {\"id\": \"B\"}}], "                                   \
    "\"special_tokens\": {\"" token "\": {\"ids\": [" id "], \"tokens\": [\"" token "\"]}}}"

static void kinds_that_are_not_known_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "{\"model\": {\"type\": \"SentencePiece\"}}", "model type 'SentencePiece' is not supported" },
        { "{\"normalizer\": {\"type\": \"Magic\"}}", "normalizer type 'Magic' is not supported" },
        { "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, "
          "{\"type\": \"Magic\"}]}}",
          "normalizer type 'Magic' is not supported" },
        { "{\"pre_tokenizer\": {\"type\": \"UnicodeScripts\"}}",
          "pre_tokenizer type 'UnicodeScripts' is not supported" },
        { "{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a&&b]\"}}}",
          "'&&' within a set is not supported" },
        { "{" MODEL(VOCAB) ", \"post_processor\": {\"type\": \"Magic\"}}",
          "post_processor type 'Magic' is not supported" },
        { "{" MODEL(VOCAB) ", \"decoder\": {\"type\": \"CTC\"}}", "decoder type 'CTC' is not supported" },
        { "{\"version\": \"2.0\", " MODEL(VOCAB) "}", "version '2.0' is not supported" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused("tokenizer.json", cases[i][0], cases[i][1]);
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "{\"model\": {\"type\": \"Word", "not valid JSON" },
        { "", "not valid JSON" },
        { "[]", "not a JSON object" },
        { "{}", "there is no 'model'" },
        { "{" MODEL("{}") "}", "'vocab' has 0 tokens" },
        { "{" MODEL("{\"[UNK]\": 0, \"a\": 20000000}") "}", "the id of token 'a'" },
        { "{" MODEL("{\"[UNK]\": 0, \"a\": 0}") "}", "tokens '[UNK]' and 'a' have the same id 0" },
        { "{" MODEL("{\"[UNK]\": 0, \"a\": -1}") "}", "the id of token 'a'" },
        { "{" MODEL("{\"[UNK]\": 0, \"a\": \"1\"}") "}", "the id of token 'a'" },
        { "{" MODEL("{\"a\": 0}") "}", "the unk_token '[UNK]' is not in the vocabulary" },
        { "{" MODEL(VOCAB) ", \"added_tokens\": [{\"id\": 0, \"content\": \"a\"}]}",
          "added token 'a' has id 0, but in the vocabulary it has 1" },
        { "{" MODEL(VOCAB) ", \"added_tokens\": [{\"id\": 9, \"content\": \"new\"}]}",
          "added token 'new' has id 9, but the next free one is 3" },
        { "{" MODEL(VOCAB) ", " TEMPLATE("X", "3") "}", "special token 'X' is not in the vocabulary" },
        { "{" MODEL(VOCAB) ", " TEMPLATE("Y", "3") "}", "'X' of the template is not in" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused("tokenizer.json", cases[i][0], cases[i][1]);
}

static void every_beginning_of_a_file_is_refused(void **state)
{
    (void)state;
    const char whole[] = "{" MODEL(VOCAB) ", \"normalizer\": {\"type\": \"Lowercase\"}}";
    for (size_t n = 0; n + 1 < sizeof(whole) - 1; n++) {
        char *part = xstrndup(whole, n);
        refused("tokenizer.json", part, "not valid JSON");
        free(part);
    }
}

static void broken_vocab_txt_is_refused_with_its_line(void **state)
{
    (void)state;
    refused("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\na\n", "token 'a' is there twice");
    refused("vocab.txt", "[CLS]\n[SEP]\na\n", "the unk_token '[UNK]' is not in the vocabulary");
    refused("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n\xff\n", "not valid UTF-8");
    Err err = { 0 };
    assert_null(opened_from("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\na\n", &err));
    assert_true(text_ends(err.where, "vocab.txt:5"));
}

static void a_folder_without_a_tokenizer_is_refused(void **state)
{
    (void)state;
    Err err = { 0 };
    assert_null(opened_from("config.json", "{}", &err));
    assert_string_equal(err.what, "neither tokenizer.json nor vocab.txt nor vocab.json is there");
    assert_int_equal(err.kind, ERR_INPUT);
}

/* With an argument: a file as kinds.jsonl that is checked instead. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cased_texts_and_pairs_are_those_of_tokenizers),
        cmocka_unit_test(uncased_texts_and_pairs_are_those_of_tokenizers),
        cmocka_unit_test(gpt2_texts_and_pairs_are_those_of_tokenizers),
        cmocka_unit_test(roberta_texts_and_pairs_are_those_of_tokenizers),
        cmocka_unit_test(qwen2_texts_and_pairs_are_those_of_tokenizers),
        cmocka_unit_test(llama_texts_and_pairs_are_those_of_tokenizers),
        cmocka_unit_test(vocab_txt_gives_the_same_as_tokenizer_json),
        cmocka_unit_test(vocab_json_and_merges_give_the_same_as_tokenizer_json),
        cmocka_unit_test_prestate(every_kind_of_part_does_what_tokenizers_does, argc > 1 ? argv[1] : NULL),
        cmocka_unit_test(size_and_ids_are_those_of_the_vocabulary),
        cmocka_unit_test(two_tokenizers_have_digests_of_their_own),
        cmocka_unit_test(types_are_there_when_the_model_takes_them),
        cmocka_unit_test(a_single_text_is_cut_at_its_right),
        cmocka_unit_test(max_length_without_room_is_an_error),
        cmocka_unit_test(kinds_that_are_not_known_are_refused_by_name),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(every_beginning_of_a_file_is_refused),
        cmocka_unit_test(broken_vocab_txt_is_refused_with_its_line),
        cmocka_unit_test(a_folder_without_a_tokenizer_is_refused),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
