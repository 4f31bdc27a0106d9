/* Families of two stacks: rows of distances as Transformers' code has them (tests/golden/families/make.py), blocks of both stacks, and what is refused of them. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/arch.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t number(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}

/* Each run of distances begins where the line says, with its row. */
static void check_line(const json_t *row)
{
    const ModelArch arch = { .buckets = number(row, "buckets"), .bucket_distance = number(row, "max_distance") };
    const bool both = json_is_true(json_object_get(row, "both_ways"));
    const json_t *runs = json_object_get(row, "runs");
    assert_true(json_array_size(runs) > 4);
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i), *next = json_array_get(runs, i + 1);
        const int64_t first = json_integer_value(json_array_get(run, 0));
        const int64_t end = next ? json_integer_value(json_array_get(next, 0)) : 601;
        for (int64_t d = first; d < end; d++)
            assert_int_equal(arch_bucket(&arch, both, d), json_integer_value(json_array_get(run, 1)));
    }
}

static void distances_have_the_rows_of_transformers(void **state)
{
    (void)state;
    Err err = { 0 };
    const char *path = "tests/golden/families/buckets.jsonl";
    char *text = file_read(path, NULL, &err), *rest = text, *line;
    int count = 0;
    assert_non_null(text);
    while ((line = strsep(&rest, "\n"))) {
        json_t *row = *line ? json_bytes(line, strlen(line), path, &err) : NULL;
        if (!row)
            continue;
        check_line(row);
        count++;
        json_decref(row);
    }
    assert_int_equal(count, 10);
    free(text);
}

static void both_stacks_have_their_blocks(void **state)
{
    (void)state;
    ModelArch *arch = open_arch("tests/golden/flan_t5-seq2seq/model", TASK_SEQ_2_SEQ_LM, 0);
    assert_true(arch->source_layers == 2 && arch->layers == 5 && arch->start_id == 0 && arch->gated);
    assert_float_equal(arch->logit_scale, 1, 0); /* a head of its own */
    const Module *last = arch_module(arch, 4, ROLE_CROSS_V);
    assert_string_equal(last->path, "decoder.block.2.layer.1.EncDecAttention.v");
    assert_null(arch_module(arch, 1, ROLE_CROSS_Q));
    assert_non_null(arch_module(arch, 0, ROLE_BUCKETS));
    assert_non_null(arch_module(arch, 2, ROLE_BUCKETS));
    assert_null(arch_module(arch, 3, ROLE_BUCKETS));
    arch_close(arch);
    arch = open_arch("tests/golden/bart-seq2seq/model", TASK_SEQ_2_SEQ_LM, 0);
    assert_true(arch->source_layers == 2 && arch->layers == 4 && arch->start_id == 2 && !arch->pre_norm);
    arch_close(arch);
}

static void expect_hint(const char *config, const char *what, const char *hint)
{
    Err err = { 0 };
    const StringList none = { 0 };
    char folder[] = "/tmp/two_stacks_test_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "config.json");
    assert_true(file_write(path, config, strlen(config), &err));
    assert_null(arch_open(folder, NULL, TASK_SEQ_2_SEQ_LM, &none, 0, PROBLEM_AUTO, &err));
    if (!strstr(err.what, what))
        fail_msg("'%s' instead of '%s'", err.what, what);
    if (hint)
        assert_string_equal(err.hint, hint);
    assert_true(folder_remove(folder, &err));
    free(path);
}

static void expect_refused(const char *config, const char *what)
{
    expect_hint(config, what, NULL);
}

static void what_is_not_covered_is_refused_by_name(void **state)
{
    (void)state;
    expect_refused("{\"model_type\": \"bart\", \"decoder_attention_heads\": 8}", "differ in heads or width");
    expect_refused("{\"model_type\": \"bart\", \"decoder_layerdrop\": 0.1}", "'decoder_layerdrop'");
    expect_refused("{\"model_type\": \"bart\", \"tie_word_embeddings\": false}", "'tie_word_embeddings' false");
    expect_refused("{\"model_type\": \"t5\", \"decoder_start_token_id\": 99999}", "the model has 32128 words");
    expect_refused("{\"model_type\": \"t5\", \"feed_forward_proj\": \"gated-swiglu\"}", "feed_forward_proj 'swiglu'");
    expect_refused("{\"model_type\": \"mbart\"}", "model_type 'mbart' is not supported");
    expect_hint("{\"model_type\": \"vit\"}", "'SEQ_2_SEQ_LM' is not supported for model_type 'vit'",
                "task_type of this model: IMAGE_CLS");
}

/* Tables are of both stacks, or of scores. */
static void only_linears_of_blocks_are_trained(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        { "{\"target_modules\": [\"shared\"]}", "'shared'" },
        { "{\"target_modules\": [\"q\"], \"modules_to_save\": [\"relative_attention_bias\"]}",
          "relative_attention_bias" },
        { "{\"target_modules\": [\"q\"], \"modules_to_save\": [\"lm_head\"]}", "'lm_head'" },
        { "{\"target_modules\": [\"q\"], \"trainable_token_indices\": [3]}", "both stacks'" },
        { "{\"target_modules\": [\"q\"], \"layers_to_transform\": [1]}", "numbered in each" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Err err = { 0 };
        ModelArch *arch = open_arch("tests/golden/t5-seq2seq/model", TASK_SEQ_2_SEQ_LM, 0);
        LoraConfig lora = settings(bad[i][0]);
        assert_null(slots_open(arch, &lora, &err));
        if (!strstr(err.what, bad[i][1]))
            fail_msg("'%s' instead of '%s'", err.what, bad[i][1]);
        lora_config_release(&lora);
        arch_close(arch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_have_the_rows_of_transformers),
        cmocka_unit_test(both_stacks_have_their_blocks),
        cmocka_unit_test(what_is_not_covered_is_refused_by_name),
        cmocka_unit_test(only_linears_of_blocks_are_trained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
