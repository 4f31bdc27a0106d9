#include "common/base/json.h"
#include "worker/tokenizer/tokenizer.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KINDS "tests/worker/tokenizer/fixtures/tokenizer/kinds.jsonl"

static uint64_t state = 9;

static uint32_t next_random(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % below;
}

static json_t *random_value(void)
{
    switch (next_random(9)) {
    case 0:
        return json_null();
    case 1:
        return json_integer(-1);
    case 2:
        return json_integer(INT64_C(1) << next_random(62));
    case 3:
        return json_string("");
    case 4:
        return json_string("\xE2\x96\x81");
    case 5:
        return json_array();
    case 6:
        return json_object();
    case 7:
        return json_true();
    default:
        return json_real(-0.5);
    }
}

/* Puts another value in a random place, each level of the tree being as likely. */
static void damage(json_t *node)
{
    const size_t count = json_is_object(node) ? json_object_size(node) : json_array_size(node);
    if (count == 0)
        return;
    const size_t chosen = next_random((uint32_t)count);
    json_t *child = json_array_get(node, chosen);
    const char *key = NULL;
    if (json_is_object(node)) {
        void *place = json_object_iter(node);
        for (size_t i = 0; i < chosen; i++)
            place = json_object_iter_next(node, place);
        key = json_object_iter_key(place);
        child = json_object_iter_value(place);
    }
    if ((json_is_object(child) || json_is_array(child)) && next_random(8) > 0)
        damage(child);
    else if (key && next_random(5) == 0)
        json_object_del(node, key);
    else if (key)
        json_object_set_new(node, key, random_value());
    else if (next_random(5) == 0)
        json_array_remove(node, chosen);
    else
        json_array_set_new(node, chosen, random_value());
}

/* Opens it or is told what is wrong; what opens must work. */
static int try_it(const char *folder, const char *path, const char *text)
{
    static const char sample[] = "Tok ab\xCC\x81 ab  12.\n<mask> \xE4\xB8\xAD<0x41>'ll \xC2\xB2 aab";
    Err err = { 0 };
    assert_true(file_write(path, text, strlen(text), &err));
    Tokenizer *tokenizer = tokenizer_open(folder, &err);
    if (!tokenizer) {
        assert_true(err.kind != ERR_NONE && err.what[0] != '\0');
        return 0;
    }
    Encoding encoding = { 0 };
    Text back = { 0 };
    if (tokenizer_encode(tokenizer, sample, strlen(sample), "ab", 2, 40, &encoding, &err)) {
        assert_true(encoding.count <= 40);
        for (int64_t i = 0; i < encoding.count; i++) {
            assert_true(encoding.offsets[2 * i] <= encoding.offsets[2 * i + 1]);
            assert_true(encoding.offsets[2 * i + 1] <= (int32_t)strlen(sample));
        }
        tokenizer_decode(tokenizer, encoding.ids, encoding.count, false, &back);
        assert_int_equal(text_utf8_valid(back.data, back.size), back.size);
    }
    text_release(&back);
    encoding_release(&encoding);
    tokenizer_close(tokenizer);
    return 1;
}

static void damaged_tokenizers_are_refused_or_work(void **unused)
{
    (void)unused;
    enum { TIMES = 25 };
    Err err = { 0 };
    size_t size = 0;
    char folder[] = "/tmp/damage_test_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "tokenizer.json"), *data = file_read(KINDS, &size, &err);
    assert_non_null(data);
    int opened = 0, refused = 0;
    for (char *line = strtok(data, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *value = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        for (int i = 0; i < TIMES; i++) {
            json_t *copy = json_deep_copy(json_object_get(value, "tokenizer"));
            damage(copy);
            char *text = json_dumps(copy, 0);
            const int works = try_it(folder, path, text);
            opened += works;
            refused += !works;
            free(text);
            json_decref(copy);
        }
        json_decref(value);
    }
    assert_true(opened > 100 && refused > 100);
    free(data);
    free(path);
    assert_true(folder_remove(folder, &err));
}

/* ---- faults that are told by name ------------------------------------------- */

#define BPE(more) "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, " more "}}"
#define UNIGRAM(more) "{\"model\": {\"type\": \"Unigram\", " more "}}"
#define NORMALIZER(more) "{\"normalizer\": {" more "}}"
#define PRETOKENIZER(more) "{\"pre_tokenizer\": {" more "}}"
#define DECODER(more)                                                                                                  \
    "{\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"a\", \"vocab\": {\"a\": 0}}, "                             \
    "\"decoder\": {" more "}}"

static void broken_parts_are_refused_by_name(void **unused)
{
    (void)unused;
    static const char *const cases[][2] = {
        { BPE("\"merges\": 1"), "the model has no list 'merges'" },
        { BPE("\"merges\": [\"a b\", \"ab\"]"), "merge 2 is not a pair of tokens" },
        { BPE("\"merges\": [[\"a\", \"b\", \"c\"]]"), "merge 1 is not a pair of tokens" },
        { BPE("\"merges\": [[\"a\", \"c\"]]"), "merge 1: 'c' is not in the vocabulary" },
        { BPE("\"merges\": [[\"b\", \"a\"]]"), "merge 1: 'ba' is not in the vocabulary" },
        { BPE("\"merges\": [], \"dropout\": 0.1"), "BPE with 'dropout' is not supported" },
        { BPE("\"merges\": [], \"unk_token\": \"x\""), "the unk_token 'x' is not in the vocabulary" },
        { UNIGRAM("\"vocab\": [[\"a\", -1.0], [\"b\"]], \"unk_id\": 0"), "'vocab' row 1 is not a token and its score" },
        { UNIGRAM("\"vocab\": [[\"a\", -1.0]], \"unk_id\": 1"), "'unk_id' 1 is not in the" },
        { UNIGRAM("\"vocab\": [[\"a\", -1.0]]"), "Unigram without an 'unk_id'" },
        { UNIGRAM("\"vocab\": [[\"a\", 0], [\"a\", 0]], \"unk_id\": 0"), "has token 'a' twice" },
        { NORMALIZER("\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AB*=\""), "is not base64 (character 3)" },
        { NORMALIZER("\"type\": \"Precompiled\", \"precompiled_charsmap\": \"/////w==\""),
          "its trie is said to have 4294967295" },
        { NORMALIZER("\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"\""),
          "normalizer 'Replace' has an empty 'pattern'" },
        { PRETOKENIZER("\"type\": \"Metaspace\", \"replacement\": \"ab\""),
          "Metaspace has a 'replacement' that is no character: 'ab'" },
        { PRETOKENIZER("\"type\": \"Metaspace\", \"prepend_scheme\": \"last\""),
          "Metaspace has unknown prepend_scheme 'last'" },
        { PRETOKENIZER("\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\"}, \"behavior\": \"x\""),
          "pre_tokenizer 'Split' has unknown behavior 'x'" },
        { DECODER("\"type\": \"Strip\", \"content\": \"ab\""), "decoder 'Strip' needs a character" },
        { DECODER("\"type\": \"Sequence\""), "decoder 'Sequence' has no list 'decoders'" },
    };
    Err made = { 0 };
    char folder[] = "/tmp/damage_test_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "tokenizer.json");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Err err = { 0 };
        assert_true(file_write(path, cases[i][0], strlen(cases[i][0]), &made));
        if (tokenizer_open(folder, &err))
            fail_msg("was opened: %s", cases[i][0]);
        if (!strstr(err.what, cases[i][1]))
            fail_msg("wanted \"%s\", got \"%s\"", cases[i][1], err.what);
        assert_non_null(strstr(err.where, path));
    }
    free(path);
    assert_true(folder_remove(folder, &made));
}

/* A class that takes the vocabulary alone does not make a whole file of one with parts that nobody knows. */
static void unknown_parts_are_refused_where_a_class_replaces_them_too(void **unused)
{
    (void)unused;
#define VOCAB "\"vocab\": {\"[PAD]\": 0, \"[UNK]\": 1, \"[CLS]\": 2, \"[SEP]\": 3, \"[MASK]\": 4, \"a\": 5}"
    static const char *const cases[][2] = {
        { "{\"model\": {\"type\": \"WordPiece\", " VOCAB "}}", NULL },
        { "{\"model\": {\"type\": \"WordSalad\", " VOCAB "}}", "model type 'WordSalad' is not supported" },
        { "{\"model\": {\"type\": \"WordPiece\", " VOCAB "}, \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": "
          "[{\"type\": \"NFC\"}, {\"type\": \"Wonder\"}]}}",
          "normalizer type 'Wonder' is not supported" },
        { "{\"model\": {\"type\": \"WordPiece\", " VOCAB "}, \"decoder\": {\"type\": \"Wonder\"}}",
          "decoder type 'Wonder' is not supported" },
    };
    static const char config[] = "{\"tokenizer_class\": \"BertTokenizer\"}";
    Err made = { 0 };
    char folder[] = "/tmp/damage_test_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "tokenizer.json"), *settings = path_join(folder, "tokenizer_config.json");
    assert_true(file_write(settings, config, strlen(config), &made));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Err err = { 0 };
        assert_true(file_write(path, cases[i][0], strlen(cases[i][0]), &made));
        Tokenizer *tokenizer = tokenizer_open(folder, &err);
        if (!tokenizer != (cases[i][1] != NULL) || (cases[i][1] && !strstr(err.what, cases[i][1])))
            fail_msg("wanted \"%s\", got \"%s\"", cases[i][1] ? cases[i][1] : "no error", err.what);
        assert_true(tokenizer || strstr(err.where, path));
        tokenizer_close(tokenizer);
    }
    free(path);
    free(settings);
    assert_true(folder_remove(folder, &made));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_parts_are_refused_by_name),
        cmocka_unit_test(unknown_parts_are_refused_where_a_class_replaces_them_too),
        cmocka_unit_test(damaged_tokenizers_are_refused_or_work),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
