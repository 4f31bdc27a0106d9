/* Hostile and careless run files: refused with a line, and never a crash. */
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/config/config_yaml.h"
#include "tests/common/config/load.h"

#include <stdlib.h>

static void a_key_given_twice_names_both_lines(void **state)
{
    (void)state;
    expect_refused("model: a\nlora:\n  r: 4\n  bias: none\n  r: 8\n", NULL, "'r' is given twice, first in line 3",
                   "run.yaml:5", "");
    expect_refused("model: a\nlora: {r: 4}\nlora: {r: 4}\n", NULL, "'lora' is given twice", "run.yaml:3", "");
    expect_refused("model: a\nmodel_config: {x: 1, y: {z: 1, z: 2}}\n", NULL, "'z' is given twice", "run.yaml:2", "");
}

static void a_tab_in_the_indentation_is_called_one(void **state)
{
    (void)state;
    expect_refused("model: a\nlora:\n\tr: 4\n", NULL, "a tab stands in the indentation", "run.yaml:3", "spaces");
    expect_refused("model: a\nlora:\n  r: 4\n \tbias: none\n", NULL, "tab", "run.yaml:4", "");
}

static void anchors_aliases_and_tags_are_refused(void **state)
{
    (void)state;
    expect_refused("model: &m a\n", NULL, "anchors and aliases", "run.yaml:1", "");
    expect_refused("model: a\nlora: &l {r: 4}\n", NULL, "anchors", "run.yaml:2", "");
    expect_refused("model: a\nlora:\n  <<: *base\n", NULL, "anchors", "run.yaml:3", "");
    expect_refused("model: !!python/object:os.system x\n", NULL, "tags", "run.yaml:1", "");
    expect_refused("model: a\nlora: {target_modules: *query}\n", NULL, "aliases", "run.yaml:2", "quotes");
}

static void a_second_document_is_refused(void **state)
{
    (void)state;
    expect_refused("model: a\n---\nmodel: b\n", NULL, "a second document", "run.yaml:2", "");
    Config c;
    load_good(&c, "---\nmodel: a\n...\n", NULL);
    config_release(&c);
    load_good(&c, "\xEF\xBB\xBFmodel: a\r\nlora:\r\n  r: 4\r\n", NULL); /* Windows */
    assert_int_equal(c.lora.r, 4);
    config_release(&c);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    char *text = xmalloc(DEEP + 32);
    const size_t n = (size_t)sprintf(text, "model: a\nmodel_config: ");
    memset(text + n, '[', DEEP);
    text[n + DEEP] = '\0';
    expect_refused(text, NULL, "nested too deeply", "run.yaml:2", "");
    memset(text, '[', DEEP);
    text[DEEP] = '\0';
    char *override = xprintf("lora.target_modules=%s]", text);
    expect_refused("model: a\n", OVERRIDES(override), "nested too deeply", "--lora.target_modules", "");
    free(override);
    free(text);
}

static void what_is_not_utf8_names_its_line(void **state)
{
    (void)state;
    expect_refused("model: a\nlabels: [caf\xE9]\n", NULL, "not UTF-8", "run.yaml:2", "UTF-8");
    expect_refused("\xFF\xFEm\n", NULL, "not UTF-8", "run.yaml:1", "");
    expect_refused("model: a\n", OVERRIDES("data.text=\xE9"), "not UTF-8", "", "");
    expect_refused("model: a\nlora:\n  bias: \"\\0\"\n", NULL, "zero byte", "run.yaml:3", "");
    expect_refused("model: a\ndata:\n  text: \x01\n", NULL, "control", "run.yaml:3", "");
}

static void broken_syntax_names_its_line(void **state)
{
    (void)state;
    expect_refused("model: a\nlora: {r: 4\n", NULL, "not YAML", "run.yaml:3", "of line 2");
    expect_refused("model: a\nlora:\n  r: 'x\n", NULL, "not YAML", "run.yaml:", "of line 3");
    expect_refused("model: a: b\n", NULL, "not YAML", "run.yaml:1", "");
    expect_refused("model: a\n? [x, y]\n: z\n", NULL, "a key is not a plain word", "run.yaml:2", "");
    expect_refused("model:a\n", NULL, "the run file is 'model:a'", "run.yaml:1", "space");
}

static void a_large_file_is_refused(void **state)
{
    (void)state;
    const size_t size = YAML_MOST_BYTES + 1;
    char *text = xmalloc(size + 1);
    memset(text, '#', size);
    text[size] = '\0';
    expect_refused(text, NULL, "too many for a run file", "run.yaml", "");
    char *to = text + sprintf(text, "model: a\nlabels: [a");
    for (int i = 0; i < YAML_MOST_ITEMS; i++)
        to += sprintf(to, ",a%d", i);
    strcpy(to, "]\n");
    expect_refused(text, NULL, "too many items", "run.yaml:2", "65536");
    to = text + sprintf(text, "model: a\nlora: {rank_pattern: {a: 1");
    for (int i = 0; i < YAML_MOST_KEYS; i++)
        to += sprintf(to, ",a%d: 1", i);
    strcpy(to, "}}\n");
    expect_refused(text, NULL, "too many keys", "run.yaml:2", "4096");
    free(text);
}

/* Whatever happens to a good file, it loads or is refused with a sentence and a
 * place; what loads prints to something that loads again. */
static void mutated_files_never_crash(void **state)
{
    (void)state;
    static const char good[] = "model: m\nmodel_config: {a: 0.5, b: [1, ~, 'x']}\nlabels: [a, \"b\\n\", 3]\n"
                               "data:\n  train: [a.tsv, b.tsv]\n  validation_split: 0.1\n  text: \"t\\u00e9xt\"\n"
                               "lora:\n  r: 4\n  target_modules: [q, v]\n  rank_pattern: {q: 2}\n"
                               "train: {seed: 1, eval_strategy: steps, output_dir: out}\n";
    static const char alphabet[] = "[]{}:,#&*!|>'\"%@`-? \t\n\\\xC3\x80~=<.0e9";
    const RngKey key = rng_key(1, 0, 0, 0);
    int accepted = 0, refused = 0;
    for (uint32_t round = 0; round < 4000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        const uint32_t edits = 1 + rng_bits(key, round * 16) % 4;
        for (uint32_t e = 0; e < edits; e++)
            text[rng_bits(key, round * 16 + 2 * e + 1) % (sizeof good - 1)] =
                alphabet[rng_bits(key, round * 16 + 2 * e + 2) % (sizeof alphabet - 1)];
        Config c, again;
        Err err;
        if (!load_with(&c, text, NULL, &err)) {
            assert_true(err.kind == ERR_INPUT && err.what[0] && err.where[0]);
            refused++;
            continue;
        }
        accepted++;
        Text printed = { 0 }, twice = { 0 };
        config_print(&c, &printed);
        if (!load_with(&again, printed.data, NULL, &err))
            fail_msg("%s | %s in\n%s", err.what, err.where, printed.data);
        config_print(&again, &twice);
        assert_string_equal(printed.data, twice.data);
        text_release(&printed);
        text_release(&twice);
        config_release(&c);
        config_release(&again);
    }
    assert_true(accepted > 100 && refused > 100); /* both sides were visited */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_given_twice_names_both_lines),
        cmocka_unit_test(a_tab_in_the_indentation_is_called_one),
        cmocka_unit_test(anchors_aliases_and_tags_are_refused),
        cmocka_unit_test(a_second_document_is_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(what_is_not_utf8_names_its_line),
        cmocka_unit_test(broken_syntax_names_its_line),
        cmocka_unit_test(a_large_file_is_refused),
        cmocka_unit_test(mutated_files_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
