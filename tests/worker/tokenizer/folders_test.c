/* Folders whose tokenizer_config.json, special_tokens_map.json, added_tokens.json or config.json say more, or other
 * things, than tokenizer.json: the ids are AutoTokenizer's (tests/interop/tokenizer_folders.py --fixtures). */
#include "worker/tokenizer/tokenizer.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/folder.h"
#include "tests/support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN "tests/golden/tokenizers/"
#define FIXTURES "tests/worker/tokenizer/fixtures/tokenizer/folders.jsonl"

/* The golden folder's file; one that it does not have is left out. */
static void copy(const char *kind, const char *name, const char *folder)
{
    Err err = { 0 };
    char *inside = xprintf(GOLDEN "%s/%s", kind, name), *to = path_join(folder, name);
    if (file_exists(inside))
        must(file_copy(inside, to, &err), &err);
    free(inside);
    free(to);
}

/* A text as it stands, all else as JSON. */
static void write_json(const char *folder, const char *name, const json_t *value)
{
    Err err = { 0 };
    char *path = path_join(folder, name);
    char *text = json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, 0);
    must(file_write(path, text, strlen(text), &err), &err);
    free(text);
    free(path);
}

/* The golden folder `kind` with `files` in the place of its own; null: without that file. */
static Tokenizer *open_with(const char *kind, const json_t *files)
{
    static const char *const names[] = {
        "tokenizer.json",          "vocab.txt",         "vocab.json", "merges.txt", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "config.json"
    };
    char *folder = test_folder_new();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *own = json_object_get(files, names[i]);
        if (!own)
            copy(kind, names[i], folder);
        else if (!json_is_null(own))
            write_json(folder, names[i], own);
    }
    Err err = { 0 };
    Tokenizer *tokenizer = tokenizer_open(folder, &err);
    must(tokenizer != NULL, &err);
    test_folder_drop(folder);
    return tokenizer;
}

static void expect(const char *what, const json_t *wanted, const int32_t *have, int64_t count, const char *where)
{
    bool same = (int64_t)json_array_size(wanted) == count;
    for (int64_t i = 0; same && i < count; i++)
        same = json_integer_value(json_array_get(wanted, (size_t)i)) == have[i];
    if (!same)
        fail_msg("%s differ: %s", what, where);
}

static void check_case(const Tokenizer *tokenizer, int64_t max_length, const json_t *one, Encoding *encoding)
{
    Err err = { 0 };
    const json_t *texts = json_object_get(one, "texts"), *types = json_object_get(one, "types");
    const json_t *text = json_array_get(texts, 0), *pair = json_array_get(texts, 1);
    char *where = json_dumps(one, 0);
    must(tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), json_string_value(pair),
                          json_string_length(pair), max_length, encoding, &err),
         &err);
    expect("ids", json_object_get(one, "ids"), encoding->ids, encoding->count, where);
    assert_int_equal(tokenizer_has_types(tokenizer), !json_is_null(types));
    if (!json_is_null(types))
        expect("types", types, encoding->types, encoding->count, where);
    free(where);
}

static void folders_are_opened_as_autotokenizer_does(void **state)
{
    (void)state;
    Err err = { 0 };
    char *data = file_read(FIXTURES, NULL, &err), *rest = NULL;
    must(data != NULL, &err);
    int folders = 0;
    for (char *line = strtok_r(data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), folders++) {
        json_t *value = json_bytes(line, strlen(line), FIXTURES, &err), *one;
        must(value != NULL, &err);
        Encoding encoding = { 0 };
        Tokenizer *tokenizer =
            open_with(json_string_value(json_object_get(value, "kind")), json_object_get(value, "files"));
        size_t i;
        json_array_foreach(json_object_get(value, "cases"), i, one)
            check_case(tokenizer, json_integer_value(json_object_get(value, "max_length")), one, &encoding);
        encoding_release(&encoding);
        tokenizer_close(tokenizer);
        json_decref(value);
    }
    assert_true(folders > 50);
    free(data);
}

/* ---- one by one ------------------------------------------------------------------------- */

static Tokenizer *open_config(const char *kind, const char *config)
{
    Err err = { 0 };
    json_t *value = json_bytes(config, strlen(config), "config", &err);
    must(value != NULL, &err);
    json_t *files = json_pack("{s:o, s:n}", "tokenizer_config.json", value, "special_tokens_map.json");
    Tokenizer *tokenizer = open_with(kind, files);
    json_decref(files);
    return tokenizer;
}

static void encode(const Tokenizer *tokenizer, const char *text, int64_t max_length, Encoding *out)
{
    Err err = { 0 };
    must(tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, max_length, out, &err), &err);
}

static void truncation_side_says_which_end_is_cut(void **state)
{
    (void)state;
    Tokenizer *left = open_config("bert-cased", "{\"tokenizer_class\": \"BertTokenizer\", \"do_lower_case\": false, "
                                                "\"truncation_side\": \"left\"}");
    Encoding whole = { 0 }, cut = { 0 };
    encode(left, "The garden was lovely.", 0, &whole);
    encode(left, "The garden was lovely.", 5, &cut);
    assert_int_equal(cut.count, 5);
    assert_int_equal(cut.ids[0], whole.ids[0]);
    assert_memory_equal(cut.ids + 1, whole.ids + whole.count - 4, 4 * sizeof cut.ids[0]);
    encoding_release(&whole);
    encoding_release(&cut);
    tokenizer_close(left);
}

static void a_named_token_that_tokenizer_json_lacks_is_taken_whole(void **state)
{
    (void)state;
    Tokenizer *gpt2 = open_config("gpt2", "{\"tokenizer_class\": \"GPT2Tokenizer\", \"pad_token\": \"[PAD]\"}");
    Encoding e = { 0 };
    const int32_t pad = tokenizer_special(gpt2, "pad_token");
    assert_int_equal(pad, 600); /* behind the vocabulary */
    assert_string_equal(tokenizer_token(gpt2, pad), "[PAD]");
    encode(gpt2, "a[PAD]b", 0, &e);
    assert_int_equal(e.count, 3);
    assert_int_equal(e.ids[1], pad);
    encoding_release(&e);
    tokenizer_close(gpt2);
}

static void a_class_names_tokens_that_the_files_do_not(void **state)
{
    (void)state;
    Tokenizer *gpt2 = open_config("gpt2", "{\"tokenizer_class\": \"GPT2Tokenizer\"}");
    Tokenizer *none = open_config("qwen2", "{\"tokenizer_class\": \"Qwen2Tokenizer\", \"eos_token\": null}");
    assert_string_equal(tokenizer_token(gpt2, tokenizer_special(gpt2, "eos_token")), "<|endoftext|>");
    assert_int_equal(tokenizer_special(none, "eos_token"), -1); /* null takes it away */
    tokenizer_close(gpt2);
    tokenizer_close(none);
}

static void the_same_files_for_another_class_have_another_digest(void **state)
{
    (void)state;
    json_t *bert = json_pack("{s:n, s:{s:s}}", "tokenizer_config.json", "config.json", "model_type", "bert");
    json_t *none = json_pack("{s:n, s:n}", "tokenizer_config.json", "config.json");
    Tokenizer *a = open_with("bert-cased", bert), *b = open_with("bert-cased", none);
    assert_true(tokenizer_digest(a) != tokenizer_digest(b));
    tokenizer_close(a);
    tokenizer_close(b);
    json_decref(bert);
    json_decref(none);
}

static void a_vocabulary_may_have_holes(void **state)
{
    (void)state;
    json_t *whole = json_pack("{s:{s:s, s:s, s:{s:i, s:i, s:i}}, s:{s:s}}", "model", "type", "WordLevel", "unk_token",
                              "u", "vocab", "u", 1, "a", 2, "b", 9, "pre_tokenizer", "type", "WhitespaceSplit");
    json_t *files =
        json_pack("{s:o, s:n, s:n}", "tokenizer.json", whole, "tokenizer_config.json", "special_tokens_map.json");
    Tokenizer *tokenizer = open_with("bert-cased", files);
    Encoding e = { 0 };
    encode(tokenizer, "a b c", 0, &e);
    assert_int_equal(e.count, 3);
    assert_true(e.ids[0] == 2 && e.ids[1] == 9 && e.ids[2] == 1);
    assert_int_equal(tokenizer_size(tokenizer), 10);
    assert_null(tokenizer_token(tokenizer, 0));
    assert_null(tokenizer_token(tokenizer, 5));
    encoding_release(&e);
    tokenizer_close(tokenizer);
    json_decref(files);
}

/* Older folders without a class: the vocabulary tells, or nothing does. */
static void a_vocabulary_without_a_class_is_known_by_its_tokens(void **state)
{
    (void)state;
    static const char *const of[][2] = { { "bert-cased", "BertTokenizer" },
                                         { "gpt2", "GPT2Tokenizer" },
                                         { "roberta", "RobertaTokenizer" } };
    for (size_t i = 0; i < LENGTH(of); i++) {
        json_t *none =
            json_pack("{s:n, s:{}, s:n}", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json");
        json_t *named = json_pack("{s:n, s:{s:s}, s:n}", "tokenizer.json", "tokenizer_config.json", "tokenizer_class",
                                  of[i][1], "special_tokens_map.json");
        Tokenizer *a = open_with(of[i][0], none), *b = open_with(of[i][0], named);
        Encoding x = { 0 }, y = { 0 };
        encode(a, "The food<s> was bad", 0, &x);
        encode(b, "The food<s> was bad", 0, &y);
        assert_int_equal(x.count, y.count);
        assert_memory_equal(x.ids, y.ids, (size_t)x.count * sizeof x.ids[0]);
        encoding_release(&x);
        encoding_release(&y);
        tokenizer_close(a);
        tokenizer_close(b);
        json_decref(none);
        json_decref(named);
    }
    Err err = { 0 };
    char *folder = test_folder_new(), *vocab = path_join(folder, "vocab.json"),
         *merges = path_join(folder, "merges.txt");
    must(file_write(vocab, "{\"a\": 0}", 8, &err) && file_write(merges, "", 0, &err), &err);
    assert_null(tokenizer_open(folder, &err));
    assert_string_equal(err.what, "there is no tokenizer_class in tokenizer_config.json");
    assert_int_equal(err_exit_code(&err), 2);
    free(merges);
    free(vocab);
    test_folder_drop(folder);
}

static void refused(const char *config, const char *what, const char *where)
{
    Err err = { 0 };
    char *folder = test_folder_new(), *path = path_join(folder, "tokenizer_config.json");
    copy("bert-cased", "tokenizer.json", folder);
    must(file_write(path, config, strlen(config), &err), &err);
    assert_null(tokenizer_open(folder, &err));
    if (!strstr(err.what, what) || !strstr(err.where, where))
        fail_msg("%s | %s", err.what, err.where);
    assert_int_equal(err_exit_code(&err), 2);
    free(path);
    test_folder_drop(folder);
}

/* The ids are AutoTokenizer's. */
static void llamas_tokenizer_json_stands_unless_the_settings_contradict_it(void **state)
{
    (void)state;
    static const int32_t without[] = { 1, 332, 292, 350, 593, 291 }, with[] = { 1, 338, 350, 593, 291 };
    Tokenizer *none = open_config("llama", "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_prefix_space\": false}");
    Tokenizer *space = open_config("llama", "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_prefix_space\": true}");
    Encoding e = { 0 };
    encode(none, "the food", 0, &e);
    assert_int_equal(e.count, 6);
    assert_memory_equal(e.ids, without, sizeof without);
    encode(none, " the food", 0, &e);
    assert_int_equal(e.count, 5);
    assert_memory_equal(e.ids, with, sizeof with);
    encode(space, "the food", 0, &e);
    assert_int_equal(e.count, 5);
    assert_memory_equal(e.ids, with, sizeof with);
    Encoding whole = { 0 };
    Tokenizer *plain = open_config("llama", "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}");
    encode(space, "the food</s>the food", 0, &e);
    encode(plain, "the food</s>the food", 0, &whole);
    assert_int_equal(e.count, whole.count);
    assert_memory_equal(e.ids, whole.ids, (size_t)e.count * sizeof e.ids[0]);
    encoding_release(&whole);
    tokenizer_close(plain);
    static const int32_t behind[] = { 1, 330, 350, 296, 299, 300, 319, 600, 339 };
    Tokenizer *more = open_config("llama", "{\"tokenizer_class\": \"LlamaTokenizer\", \"added_tokens_decoder\": "
                                           "{\"600\": {\"content\": \"<new>\", \"special\": true}}}");
    encode(more, "a film <new> b", 0, &e);
    assert_int_equal(e.count, 9);
    assert_memory_equal(e.ids, behind, sizeof behind);
    tokenizer_close(more);
    encoding_release(&e);
    tokenizer_close(none);
    tokenizer_close(space);
}

static void settings_of_a_wrong_kind_are_refused(void **state)
{
    (void)state;
    refused("{\"truncation_side\": \"middle\"}", "neither 'left' nor 'right': 'middle'", "tokenizer");
    refused("{\"tokenizer_class\": \"BertTokenizer\", \"do_lower_case\": \"no\"}",
            "'do_lower_case' is not true or false", "tokenizer");
    refused("{\"added_tokens_decoder\": {\"x\": {\"content\": \"a\"}}}", "an id that is no number: 'x'", "tokenizer");
    refused("{\"added_tokens_decoder\": {\"5\": \"a\"}}", "says nothing of the token with id 5", "tokenizer");
    refused("{\"pad_token\": 3}", "an added token has no 'content'", "pad_token");
    refused("{\"additional_special_tokens\": [7]}", "an added token has no 'content'", "additional_special_tokens");
    refused("[]", "not a JSON object", "tokenizer_config.json");
    refused("{\"unk_token\": \"[NONE]\", \"tokenizer_class\": \"BertTokenizer\"}",
            "the unk_token '[NONE]' is not in the vocabulary", "tokenizer.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_opened_as_autotokenizer_does),
        cmocka_unit_test(truncation_side_says_which_end_is_cut),
        cmocka_unit_test(a_named_token_that_tokenizer_json_lacks_is_taken_whole),
        cmocka_unit_test(a_class_names_tokens_that_the_files_do_not),
        cmocka_unit_test(the_same_files_for_another_class_have_another_digest),
        cmocka_unit_test(a_vocabulary_may_have_holes),
        cmocka_unit_test(a_vocabulary_without_a_class_is_known_by_its_tokens),
        cmocka_unit_test(llamas_tokenizer_json_stands_unless_the_settings_contradict_it),
        cmocka_unit_test(settings_of_a_wrong_kind_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
