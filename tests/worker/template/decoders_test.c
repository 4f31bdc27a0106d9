/* The tokenizers and chat templates of every decoder's golden case: odd texts, there and back, and conversations with
 * their ids, or the error that the template raises. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/template/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const cases[] = { "gemma-clm",      "gemma2-clm",   "gemma3-clm",  "phi3-clm",
                                     "phi3-long",      "gpt_neox-clm", "phi-clm",     "granite-clm",
                                     "olmo2-clm",      "stablelm-clm", "smollm3-clm", "falcon-clm",
                                     "falcon_new-clm", "bloom-clm",    "gptj-clm",    "cohere-clm" };

static void expect_ids(const Encoding *got, const json_t *ids, const char *name, const char *text)
{
    bool same = got->count == (int64_t)json_array_size(ids);
    for (int64_t i = 0; same && i < got->count; i++)
        same = got->ids[i] == json_integer_value(json_array_get(ids, (size_t)i));
    if (!same)
        fail_msg("%s: other ids of '%s'", name, text);
}

static void check_text(const Tokenizer *tokenizer, const char *folder, const json_t *row)
{
    Err err = { 0 };
    Encoding e = { 0 };
    Text back = { 0 };
    const char *text = json_string_value(json_object_get(row, "text"));
    assert_true(tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, 0, &e, &err));
    expect_ids(&e, json_object_get(row, "ids"), folder, text);
    tokenizer_decode(tokenizer, e.ids, e.count, true, &back);
    assert_string_equal(back.data ? back.data : "", json_string_value(json_object_get(row, "decoded")));
    text_release(&back);
    encoding_release(&e);
}

static void check_chat(const Tokenizer *tokenizer, const char *folder, const json_t *row)
{
    Err err = { 0 };
    Encoding e = { 0 };
    Text text = { 0 };
    const json_t *wanted = json_object_get(row, "text");
    const ChatOptions o = { .add_generation_prompt = json_is_true(json_object_get(row, "add_generation_prompt")) };
    ChatTemplate *chat = chat_template_open(folder, NULL, &err);
    assert_non_null(chat);
    const bool ok = chat_template_render(chat, json_object_get(row, "messages"), &o, &text, &err);
    if (ok != (wanted != NULL))
        fail_msg("%s: %s", folder, ok ? text.data : err.what);
    if (ok) {
        assert_string_equal(text.data, json_string_value(wanted));
        assert_true(tokenizer_encode_plain(tokenizer, text.data, text.size, &e, &err));
        expect_ids(&e, json_object_get(row, "ids"), folder, text.data);
    } else {
        assert_non_null(strstr(err.what, json_string_value(json_object_get(row, "error"))));
    }
    chat_template_close(chat);
    encoding_release(&e);
    text_release(&text);
}

/* Every line of a file of the case's, if there is one; how many. */
static int for_lines(const char *name, const char *file,
                     void (*each)(const Tokenizer *tokenizer, const char *folder, const json_t *row))
{
    Err err = { 0 };
    char *folder = xprintf("tests/golden/%s/model", name), *path = xprintf("tests/golden/%s/expected/%s", name, file);
    Tokenizer *tokenizer = tokenizer_open(folder, &err);
    char *text = file_exists(path) ? file_read(path, NULL, &err) : NULL, *rest = text, *line;
    int count = 0;
    assert_non_null(tokenizer);
    while (rest && (line = strsep(&rest, "\n"))) {
        json_t *row = json_loads(line, 0, NULL);
        if (!row)
            continue;
        each(tokenizer, folder, row);
        json_decref(row);
        count++;
    }
    tokenizer_close(tokenizer);
    free(text);
    free(path);
    free(folder);
    return count;
}

static void texts_have_the_ids_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_true(for_lines(cases[i], "tokens.jsonl", check_text) >= 100);
}

static void conversations_are_those_of_transformers(void **state)
{
    (void)state;
    int count = 0;
    for (size_t i = 0; i < LENGTH(cases); i++)
        count += for_lines(cases[i], "chat.jsonl", check_chat);
    assert_true(count >= 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_the_ids_of_transformers),
        cmocka_unit_test(conversations_are_those_of_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
