#include "worker/template/chat_template.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/support/chat_case.h"
#include "tests/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CASES "tests/worker/template/fixtures/chat_template/cases.jsonl"

enum { NOW = 1721988000 };

/* ---- helpers -------------------------------------------------------------------------- */

static json_t *json(const char *text)
{
    json_error_t error;
    json_t *out = json_loads(text, 0, &error);
    if (!out)
        fail_msg("%s: %s", text, error.text);
    return out;
}

/* Renders one message {"role": "user", "content": "hi"}; NULL with *err set on failure. */
static char *rendered(const char *source, Err *err)
{
    json_t *messages = json("[{\"role\": \"user\", \"content\": \"hi\"}]");
    Text text = { 0 };
    ChatTemplate *t = chat_template_parse(source, strlen(source), "t", err);
    const bool ok = t && chat_template_render(t, messages, &(ChatOptions){ .now = NOW }, &text, err);
    chat_template_close(t);
    json_decref(messages);
    if (ok)
        return text_take(&text);
    text_release(&text);
    return NULL;
}

static void refused(const char *source, const char *where, const char *what)
{
    Err err = { 0 };
    char *text = rendered(source, &err);
    if (text)
        fail_msg("%.200s gave '%.200s'", source, text);
    assert_string_equal(err.where, where);
    if (!strstr(err.what, what))
        fail_msg("%.200s: '%s', not '%s'", source, err.what, what);
    assert_int_equal(err.kind, ERR_INPUT);
}

/* What the folder's template makes of one message. */
static void opened(const char *folder, const char *name, const ChatOptions *o, const char *want)
{
    Err err = { 0 };
    Text text = { 0 };
    json_t *messages = json("[{\"role\": \"user\", \"content\": \"hi\"}]");
    ChatTemplate *t = chat_template_open(folder, name, &err);
    if (!t || !chat_template_render(t, messages, o, &text, &err))
        fail_msg("%s: %s", err.where, err.what);
    assert_string_equal(text.data, want);
    chat_template_close(t);
    text_release(&text);
    json_decref(messages);
}

static void not_opened(const char *folder, const char *name, const char *where, const char *what)
{
    Err err = { 0 };
    assert_null(chat_template_open(folder, name, &err));
    assert_string_equal(err.what, what);
    assert_true(text_starts(err.where, folder));
    assert_string_equal(err.where + strlen(folder), where);
    assert_true(err.hint[0] || strstr(what, "without a name"));
}

/* ---- rendering -------------------------------------------------------------------------- */

static void check_case(json_t *sources, const json_t *line)
{
    Err err = { 0 };
    Text text = { 0 };
    json_t *ranges;
    const char *want = json_string_value(json_object_get(line, "text"));
    const char *error = json_string_value(json_object_get(line, "error"));
    const char *name = json_string_value(json_object_get(line, "name"));
    const bool ok = chat_case(sources, line, NOW, &text, &ranges, &err);
    if (ok != (want != NULL))
        fail_msg("%s: %s%s, wanted %s%s", name, ok ? text.data : "error: ", err.what,
                 want ? want : "error: ", error ? error : "");
    if (ok && strcmp(text.data, want) != 0)
        fail_msg("%s: '%s', wanted '%s'", name, text.data, want);
    if (!ok && (!strstr(err.what, error) || !text_starts(err.where, name)))
        fail_msg("%s: '%s' at '%s', wanted '%s'", name, err.what, err.where, error);
    const json_t *wanted = json_object_get(line, "ranges");
    if (ok && (ranges ? !json_equal(ranges, wanted) : json_is_array(wanted)))
        fail_msg("%s: ranges %s, wanted %s", name, json_dumps(ranges, JSON_ENCODE_ANY),
                 json_dumps(wanted, JSON_ENCODE_ANY));
    json_decref(ranges);
    text_release(&text);
}

static void texts_and_ranges_are_those_of_transformers(void **state)
{
    (void)state;
    FILE *file = fopen(CASES, "r");
    assert_non_null(file);
    json_t *sources = json_object(), *line;
    json_error_t error;
    int count = 0;
    for (; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, &error)) != NULL; count++) {
        check_case(sources, line);
        json_decref(line);
    }
    fclose(file);
    json_decref(sources);
    assert_true(count > 400);
}

static void errors_name_the_line_and_what_is_not_supported(void **state)
{
    (void)state;
    refused("a\n{% include 'x' %}", "t:2", "the template uses {% include %}, which is not supported");
    refused("{{ messages|groupby('role') }}", "t:1", "the template uses the filter 'groupby', which is not supported");
    refused("\n\n{{ 1 is sameas 1 }}", "t:3", "the template uses the test 'sameas', which is not supported");
    refused("{% for x in y recursive %}{% endfor %}", "t:1", "a recursive loop, which is not supported");
    refused("{% for x in [1] %}\n{{ loop.changed(x) }}{% endfor %}", "t:2", "loop.changed, which is not supported");
    refused("{{ f(*messages) }}", "t:1", "*arguments, which is not supported");
    refused("{% set x | trim %}{% endset %}", "t:1", "a filter on a {% set %} block");
    refused("{{ 'é'|upper }}", "t:1", "letters outside of ASCII");
    refused("{% call m() %}{% endcall %}", "t:1", "{% call %}, which is not supported");
    refused("{% if true %}\nx", "t:1", "the template ends without 'elif'");
    refused("{% endfor %}", "t:1", "nothing is open that would end with 'endfor'");
    refused("x\n{{ messages[0].role", "t:2", "{{ does not end");
    refused("{{ 99999999999999999999 }}", "t:1", "out of range");
    refused("\n{{ raise_exception('no') }}", "t:2", "no");
    refused("{{ message.role }}", "t:1", "'message' is undefined");
    refused("{{ messages[0].role.x.y }}", "t:1", "'str' has no 'x'");
    refused("{{ '\\ud800' }}", "t:1", "no character");
    refused("\xff", "t", "not valid UTF-8");
}

static void a_template_cannot_take_the_machine(void **state)
{
    (void)state;
    refused("{% set a = 'x' * 1000000000000 %}", "t:1", "too much memory");
    refused("{% set ns = namespace(a='xxxxxxxxxxxxxxxx') %}{% for i in range(99) %}{% set ns.a = "
            "ns.a + ns.a %}{% endfor %}",
            "t:1", "too much memory");
    refused("{% for i in range(99) %}{{ 'x' * 1000000 }}{% endfor %}", "t:1", "too much memory");
    refused("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "t:1", "too");
    refused("{{ range(1000000000) }}", "t:1", "too large");
    refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "t:1", "calls itself too often");
    Text deep = { 0 };
    text_adds(&deep, "{{ ");
    for (int i = 0; i < 100000; i++)
        text_adds(&deep, "(");
    for (int i = 0; i < 100000; i++)
        text_adds(&deep, ")");
    text_adds(&deep, " }}");
    refused(deep.data, "t:1", "nested too deep");
    text_clear(&deep);
    text_adds(&deep, "{{ 1");
    for (int i = 0; i < 100000; i++)
        text_adds(&deep, "+1");
    text_adds(&deep, " }}");
    refused(deep.data, "t:1", "nested too deep");
    text_clear(&deep);
    for (int i = 0; i < 100000; i++)
        text_adds(&deep, "{% if 1 %}");
    refused(deep.data, "t:1", "nested too deep");
    text_release(&deep);
    Err err = { 0 };
    char *text = rendered("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}{{ ns == ns }}", &err);
    assert_non_null(text);
    free(text);
}

/* Every beginning of every template, and every byte of it changed: an error or a text, no crash. */
static void damaged_templates_do_no_harm(void **state)
{
    (void)state;
    FILE *file = fopen(CASES, "r");
    assert_non_null(file);
    json_t *line;
    json_error_t error;
    uint32_t draw = 1;
    while ((line = json_loadf(file, JSON_DISABLE_EOF_CHECK, &error)) != NULL) {
        const char *source = json_string_value(json_object_get(line, "source"));
        const size_t n = source ? strlen(source) : 0;
        for (size_t i = 0; i < n; i += 1 + n / 100) {
            Err err = { 0 };
            char *copy = xstrndup(source, i);
            free(rendered(copy, &err));
            free(copy);
            copy = xstrdup(source);
            draw = draw * 1664525U + 1013904223U;
            copy[i] = "{}%'\"()[]|.-+ #\n\\,:x0"[(draw >> 16) % 21];
            free(rendered(copy, &(Err){ 0 }));
            free(copy);
        }
        json_decref(line);
    }
    fclose(file);
}

/* ---- where templates come from ------------------------------------------------------------- */

static void a_file_of_its_own_wins_over_the_configuration(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    test_folder_write(folder, "tokenizer_config.json",
                      "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": \"</s>\", \"pad_token\": null,"
                      " \"chat_template\": \"config {{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ "
                      "pad_token }}\"}");
    opened(folder, NULL, &(ChatOptions){ 0 }, "config <s>hi</s>");
    opened(folder, "default", &(ChatOptions){ .bos = "[", .eos = "]" }, "config [hi]");
    not_opened(folder, "tool_use", "/tokenizer_config.json: chat_template",
               "there is no chat template 'tool_use': the model has one, without a name");
    test_folder_write(folder, "chat_template.jinja", "file {{ bos_token }}{{ unk_token }}{{ more }}\n");
    test_folder_write(folder, "special_tokens_map.json", "{\"bos_token\": \"other\", \"unk_token\": \"<unk>\"}");
    json_t *more = json("{\"more\": 7}");
    opened(folder, NULL, &(ChatOptions){ .variables = more }, "file <s><unk>7");
    json_decref(more);
    not_opened(folder, "tool_use", "/chat_template.jinja",
               "there is no chat template 'tool_use': the model has one, without a name");
    test_folder_drop(folder);
}

static void templates_with_names_are_told_apart(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    test_folder_write(folder, "tokenizer_config.json",
                      "{\"chat_template\": [{\"name\": \"default\", \"template\": \"d\"}, {\"name\": "
                      "\"rag\", \"template\": \"r\"}]}");
    opened(folder, NULL, &(ChatOptions){ 0 }, "d");
    opened(folder, "rag", &(ChatOptions){ 0 }, "r");
    not_opened(folder, "x", "/tokenizer_config.json: chat_template", "there is no chat template 'x' among the model's");
    test_folder_drop(folder);
}

static void a_model_without_a_template_is_refused(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    not_opened(folder, NULL, "", "the model has no chat template");
    test_folder_write(folder, "tokenizer_config.json", "{\"eos_token\": \"x\"}");
    not_opened(folder, NULL, "/tokenizer_config.json", "the model has no chat template");
    test_folder_write(folder, "tokenizer_config.json", "{\"chat_template\": \"a\\n{% if %}\"}");
    Err err = { 0 };
    assert_null(chat_template_open(folder, NULL, &err));
    assert_true(text_ends(err.where, "/tokenizer_config.json: chat_template:2"));
    test_folder_drop(folder);
}

/* ---- conversations -------------------------------------------------------------------------- */

static void a_conversation_is_checked(void **state)
{
    (void)state;
    const char *const wrong[] = { "[]", "{}", "[1]", "[{\"content\": \"x\"}]", "[{\"role\": 1}]" };
    ChatTemplate *t = chat_template_parse("x", 1, "t", NULL);
    Text text = { 0 };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Err err = { 0 };
        json_t *messages = json(wrong[i]);
        assert_false(chat_template_render(t, messages, &(ChatOptions){ 0 }, &text, &err));
        assert_int_equal(err.kind, ERR_INPUT);
        json_decref(messages);
    }
    text_release(&text);
    chat_template_close(t);
}

static void a_template_that_rewrites_earlier_turns_has_no_ranges(void **state)
{
    (void)state;
    const char *source = "{% for m in messages %}{{ m.content if loop.last else '...' }}{% endfor %}";
    json_t *messages = json("[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"},"
                            " {\"role\": \"user\", \"content\": \"c\"}]");
    ChatTemplate *t = chat_template_parse(source, strlen(source), "t", NULL);
    Err err = { 0 };
    Text text = { 0 };
    ChatRange *ranges;
    int64_t count;
    assert_false(chat_template_ranges(t, messages, &(ChatOptions){ 0 }, &text, &ranges, &count, &err));
    assert_non_null(strstr(err.what, "the chat template writes message 2 otherwise when others follow"));
    assert_non_null(strstr(err.hint, "{% generation %}"));
    assert_null(ranges);
    text_release(&text);
    chat_template_close(t);
    json_decref(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_ranges_are_those_of_transformers),
        cmocka_unit_test(errors_name_the_line_and_what_is_not_supported),
        cmocka_unit_test(a_template_cannot_take_the_machine),
        cmocka_unit_test(damaged_templates_do_no_harm),
        cmocka_unit_test(a_file_of_its_own_wins_over_the_configuration),
        cmocka_unit_test(templates_with_names_are_told_apart),
        cmocka_unit_test(a_model_without_a_template_is_refused),
        cmocka_unit_test(a_conversation_is_checked),
        cmocka_unit_test(a_template_that_rewrites_earlier_turns_has_no_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
