/* What is asked of a tokenizer beside encoding a text: words, texts without special
 * tokens, names of tokens, decoding as ids arrive. */
#include "worker/tokenizer/tokenizer.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN "tests/golden/tokenizers/"

static Tokenizer *opened(const char *folder)
{
    Err err = { 0 };
    Tokenizer *tokenizer = tokenizer_open(folder, &err);
    if (!tokenizer)
        fail_msg("%s: %s", err.where, err.what);
    return tokenizer;
}

static void encode_words(const Tokenizer *tokenizer, int64_t max_length, Encoding *out)
{
    static const char *const text[] = { "The", "garden", "", "was", "unbelievable." };
    static const size_t size[] = { 3, 6, 0, 3, 13 };
    Err err = { 0 };
    const WordList words = { text, size, 5 };
    assert_true(tokenizer_encode_words(tokenizer, &words, max_length, out, &err));
}

static void tokens_of_split_texts_know_their_words(void **state)
{
    (void)state;
    Tokenizer *tokenizer = opened(GOLDEN "bert-cased");
    Encoding encoding = { 0 };
    encode_words(tokenizer, 0, &encoding);
    assert_int_equal(encoding.words[0], -1);
    assert_int_equal(encoding.words[encoding.count - 1], -1);
    for (int64_t i = 1; i + 1 < encoding.count; i++) {
        assert_true(encoding.words[i] >= (i > 1 ? encoding.words[i - 1] : 0));
        assert_int_not_equal(encoding.words[i], 2); /* the empty one has no tokens */
        if (encoding.words[i] != encoding.words[i - 1])
            assert_int_equal(encoding.offsets[2 * i], 0); /* counted from the word's start */
    }
    assert_int_equal(encoding.words[encoding.count - 2], 4);
    assert_int_equal(encoding.offsets[2 * encoding.count - 3], 13);
    encoding_release(&encoding);
    tokenizer_close(tokenizer);
}

static void split_texts_are_cut_to_max_length(void **state)
{
    (void)state;
    Tokenizer *tokenizer = opened(GOLDEN "roberta");
    Encoding whole = { 0 }, cut = { 0 };
    encode_words(tokenizer, 0, &whole);
    encode_words(tokenizer, 5, &cut);
    assert_int_equal(cut.count, 5);
    assert_memory_equal(cut.ids, whole.ids, 4 * sizeof(cut.ids[0]));
    assert_int_equal(cut.ids[4], tokenizer_id(tokenizer, "</s>"));
    encoding_release(&whole);
    encoding_release(&cut);
    tokenizer_close(tokenizer);
}

/* A copy of RoBERTa's folder with one line more in its configuration. */
static Tokenizer *with_prefix_space(void)
{
    Err err = { 0 };
    char folder[] = "/tmp/ask_test_XXXXXX";
    assert_non_null(mkdtemp(folder));
    static const char config[] = "{\"tokenizer_class\": \"RobertaTokenizerFast\", \"add_prefix_space\": true}";
    char *to = path_join(folder, "tokenizer.json"), *at = path_join(folder, "tokenizer_config.json");
    assert_true(file_copy(GOLDEN "roberta/tokenizer.json", to, &err));
    assert_true(file_write(at, config, strlen(config), &err));
    Tokenizer *tokenizer = opened(folder);
    free(to);
    free(at);
    assert_true(folder_remove(folder, &err));
    return tokenizer;
}

static void add_prefix_space_of_the_configuration_reaches_each_word(void **state)
{
    (void)state;
    Err err = { 0 };
    Tokenizer *tokenizer = with_prefix_space(), *plain = opened(GOLDEN "roberta");
    Encoding words = { 0 }, text = { 0 };
    encode_words(tokenizer, 0, &words);
    const char sentence[] = " The garden was unbelievable.";
    assert_true(tokenizer_encode(plain, sentence, strlen(sentence), NULL, 0, 0, &text, &err));
    assert_int_equal(words.count, text.count);
    assert_memory_equal(words.ids, text.ids, (size_t)words.count * sizeof(words.ids[0]));
    encoding_release(&words);
    encoding_release(&text);
    tokenizer_close(tokenizer);
    tokenizer_close(plain);
}

static void plain_texts_have_no_special_tokens_around_them(void **state)
{
    (void)state;
    Err err = { 0 };
    Tokenizer *tokenizer = opened(GOLDEN "llama");
    Encoding with = { 0 }, plain = { 0 };
    const char text[] = "<s>Hello";
    assert_true(tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, 0, &with, &err));
    assert_true(tokenizer_encode_plain(tokenizer, text, strlen(text), &plain, &err));
    assert_int_equal(with.count, plain.count + 1);
    assert_memory_equal(with.ids + 1, plain.ids, (size_t)plain.count * sizeof(plain.ids[0]));
    assert_int_equal(plain.ids[0], tokenizer_id(tokenizer, "<s>"));
    encoding_release(&with);
    encoding_release(&plain);
    tokenizer_close(tokenizer);
}

static void special_tokens_are_found_by_their_names(void **state)
{
    (void)state;
    Tokenizer *roberta = opened(GOLDEN "roberta"), *qwen2 = opened(GOLDEN "qwen2");
    assert_int_equal(tokenizer_special(roberta, "bos_token"), 0);
    assert_int_equal(tokenizer_special(roberta, "pad_token"), 1);
    assert_int_equal(tokenizer_special(roberta, "mask_token"), 4); /* a dictionary */
    assert_int_equal(tokenizer_special(qwen2, "bos_token"), -1); /* null */
    assert_string_equal(tokenizer_token(qwen2, tokenizer_special(qwen2, "eos_token")), "<|im_end|>");
    assert_int_equal(tokenizer_special(qwen2, "no_token"), -1);
    assert_null(tokenizer_token(qwen2, -1));
    assert_null(tokenizer_token(qwen2, (int32_t)tokenizer_size(qwen2)));
    assert_non_null(tokenizer_token(qwen2, (int32_t)tokenizer_size(qwen2) - 1));
    tokenizer_close(roberta);
    tokenizer_close(qwen2);
}

/* What is there after each id of `ids`, with '|' between. */
static void expect_stream(const Tokenizer *tokenizer, const int32_t *ids, int64_t n, const char *want)
{
    Text have = { 0 };
    DecodeStream *stream = decode_stream_new(tokenizer, true);
    for (int64_t i = 0; i < n; i++) {
        decode_stream_add(stream, ids[i], &have);
        text_adds(&have, "|");
    }
    decode_stream_end(stream, &have);
    assert_string_equal(have.data, want);
    decode_stream_free(stream);
    text_release(&have);
}

static int32_t id_of(const Tokenizer *tokenizer, const char *token)
{
    const int32_t id = tokenizer_id(tokenizer, token);
    assert_true(id >= 0);
    return id;
}

static void half_characters_wait_for_their_other_half(void **state)
{
    (void)state;
    Tokenizer *gpt2 = opened(GOLDEN "gpt2"), *llama = opened(GOLDEN "llama");
    const int32_t letters[] = { id_of(gpt2, "a"),      id_of(gpt2, "\u00c3"), id_of(gpt2, "\u00a9"),
                                id_of(gpt2, "\u00c3"), id_of(gpt2, "b"),      id_of(gpt2, "\u00c3") };
    expect_stream(gpt2, letters, 6,
                  "a||\u00e9||\ufffd"
                  "b||\ufffd");
    const int32_t bytes[] = { id_of(llama, "<0xC3>"), id_of(llama, "<0xA9>"), id_of(llama, "a"),
                              id_of(llama, "<0xC3>"), id_of(llama, "<0xA9>"), id_of(llama, "<0xC3>") };
    expect_stream(llama, bytes, 6,
                  "||\u00e9"
                  "a||||\ufffd\ufffd\ufffd");
    tokenizer_close(gpt2);
    tokenizer_close(llama);
}

static void an_encoding_serves_one_tokenizer_after_another(void **state)
{
    (void)state;
    Err err = { 0 };
    static const char text[] = "The garden was lovely.";
    Tokenizer *a = opened(GOLDEN "gpt2"), *b = opened(GOLDEN "qwen2");
    Encoding shared = { 0 }, own = { 0 };
    assert_true(tokenizer_encode(a, text, strlen(text), NULL, 0, 0, &shared, &err));
    assert_true(tokenizer_encode(b, text, strlen(text), NULL, 0, 0, &shared, &err));
    assert_true(tokenizer_encode(b, text, strlen(text), NULL, 0, 0, &own, &err));
    assert_int_equal(shared.count, own.count);
    assert_memory_equal(shared.ids, own.ids, (size_t)own.count * sizeof(own.ids[0]));
    encoding_release(&shared);
    encoding_release(&own);
    tokenizer_close(a);
    tokenizer_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_split_texts_know_their_words),
        cmocka_unit_test(split_texts_are_cut_to_max_length),
        cmocka_unit_test(add_prefix_space_of_the_configuration_reaches_each_word),
        cmocka_unit_test(plain_texts_have_no_special_tokens_around_them),
        cmocka_unit_test(special_tokens_are_found_by_their_names),
        cmocka_unit_test(half_characters_wait_for_their_other_half),
        cmocka_unit_test(an_encoding_serves_one_tokenizer_after_another),
    };
    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
