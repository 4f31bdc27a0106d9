/* Slots of modules that are no plain linear, names of before a rename, and what
 * cannot be adapted. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/stored.h"
#include "common/tensor/safetensors.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- names of before --------------------------------------------------------------- */

static void vits_targets_may_have_the_names_of_before(void **state)
{
    (void)state;
    static const struct {
        const char *given, *written;
    } rows[] = {
        { "\"query\", \"value\"", "[\"q_proj\", \"v_proj\"]" },
        { "\"attention.output.dense\", \"key\"", "[\"k_proj\", \"o_proj\"]" },
        { "\"intermediate.dense\", \"projection\"", "[\"fc1\", \"projection\"]" },
        { "\"output.dense\"", "[\"fc2\", \"o_proj\"]" }, /* both ended so */
        { "\"dense\"", "[\"fc1\", \"fc2\", \"o_proj\"]" },
        { "\"vit.encoder.layer.1.attention.attention.query\"", "[\"vit.layers.1.attention.q_proj\"]" },
        { "\"q_proj\", \"query\"", "[\"q_proj\"]" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Case c;
        char *lora = xprintf("{\"target_modules\": [%s], \"modules_to_save\": [\"classifier\"]}", rows[i].given);
        open_with(&c, "vit-imgcls", TASK_IMAGE_CLS, lora);
        json_t *wanted = json_pack("{s:o}", "target_modules", json_loads(rows[i].written, 0, NULL));
        json_t *config = written_config(c.table, &c.lora);
        expect_config(rows[i].given, config, wanted);
        /* what was written means the same modules */
        LoraConfig again = read_settings(config);
        Err err = { 0 };
        SlotTable *table = slots_open(c.arch, &again, &err);
        must(table != NULL, &err);
        assert_int_equal(table->hash, c.table->hash);
        slots_close(table);
        lora_config_release(&again);
        json_decref(config);
        json_decref(wanted);
        close_case(&c);
        free(lora);
    }
}

static void excluded_names_of_before_are_written_as_todays(void **state)
{
    (void)state;
    Case c;
    open_with(&c, "vit-imgcls", TASK_IMAGE_CLS,
              "{\"target_modules\": \"all-linear\", \"exclude_modules\": [\"query\"],"
              " \"modules_to_save\": [\"classifier\"]}");
    assert_null(find_slot(c.table, "vit.layers.0.attention.q_proj.lora_A.weight"));
    assert_non_null(find_slot(c.table, "vit.layers.0.attention.k_proj.lora_A.weight"));
    json_t *config = written_config(c.table, &c.lora);
    json_t *wanted = json_pack("{s:[s]}", "exclude_modules", "q_proj");
    expect_config("exclude", config, wanted);
    json_decref(wanted);
    json_decref(config);
    close_case(&c);
}

/* The golden ViT adapter under the names it had in Transformers 4. */
static void adapters_of_before_are_read(void **state)
{
    (void)state;
    static const char *const words[][2] = { { "vit.layers.", "vit.encoder.layer." },
                                            { "attention.q_proj", "attention.attention.query" },
                                            { "attention.v_proj", "attention.attention.value" } };
    Case c;
    Err err = { 0 };
    open_golden(&c, golden_index("vit-imgcls"));
    const char *from = "tests/golden/vit-imgcls/expected";
    SafeTensors *file = safetensors_open("tests/golden/vit-imgcls/expected/adapter_model.safetensors", &err);
    must(file != NULL, &err);
    const int64_t n = safetensors_count(file);
    TensorOut *out = xcalloc((size_t)n, sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        const TensorView *t = safetensors_at(file, i);
        char *name = xstrdup(t->name);
        for (int w = 0; w < 3; w++) {
            char *at = strstr(name, words[w][0]);
            if (!at)
                continue;
            char *next = xprintf("%.*s%s%s", (int)(at - name), name, words[w][1], at + strlen(words[w][0]));
            free(name);
            name = next;
        }
        out[i] = (TensorOut){ .name = name, .dims = t->dims, .data = t->data };
        memcpy(out[i].dim, t->dim, sizeof out[i].dim);
    }
    char *folder = test_folder_new(), *path = path_join(folder, "adapter_model.safetensors");
    must(safetensors_write(path, out, n, &err), &err);
    float *old = xcalloc((size_t)c.table->size, sizeof *old);
    must(slots_read_adapter(old, c.table, folder, &err), &err);
    must(slots_read_adapter(c.values, c.table, from, &err), &err);
    assert_memory_equal(old, c.values, (size_t)c.table->size * sizeof *old);
    free(old);
    for (int64_t i = 0; i < n; i++)
        free((char *)(uintptr_t)out[i].name);
    free(out);
    safetensors_close(file);
    test_folder_drop(folder);
    free(path);
    close_case(&c);
}

/* ---- first values --------------------------------------------------------------------- */

static double mean_square(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum / (double)n;
}

static const float *slot_values(const Case *c, const char *bare, int64_t *count)
{
    const Slot *slot = find_slot(c->table, bare);
    if (!slot)
        fail_msg("no slot '%s'", bare);
    *count = slot->count;
    return c->values + slot->offset;
}

static void of_a_table_it_is_b_that_is_random(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    int64_t n;
    open_with(&c, "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"wte\"], \"r\": 16}");
    must(slots_init(c.values, c.table, c.arch, &c.lora, 5, &err), &err);
    const float *a = slot_values(&c, "transformer.wte.lora_embedding_A", &n);
    assert_int_equal(n, 16 * 604);
    assert_true(mean_square(a, n) == 0);
    const float *b = slot_values(&c, "transformer.wte.lora_embedding_B", &n);
    assert_int_equal(n, 32 * 16);
    assert_true(fabs(mean_square(b, n) - 1) < 0.2);
    close_case(&c);
}

static void of_a_convolution_all_of_a_kernel_is_its_input(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    int64_t n;
    open_with(&c, "vit-imgcls", TASK_IMAGE_CLS,
              "{\"target_modules\": [\"projection\"], \"modules_to_save\": [\"classifier\"]}");
    must(slots_init(c.values, c.table, c.arch, &c.lora, 5, &err), &err);
    const float *a = slot_values(&c, "vit.embeddings.patch_embeddings.projection.lora_A.weight", &n);
    assert_int_equal(n, 4 * 3 * 8 * 8);
    assert_true(fabs(mean_square(a, n) * 3 * 192 - 1) < 0.2); /* U(-b, b), b = 1/sqrt(192) */
    const float *b = slot_values(&c, "vit.embeddings.patch_embeddings.projection.lora_B.weight", &n);
    assert_true(n == 32 * 4 && mean_square(b, n) == 0);
    close_case(&c);
}

static void a_conv1d_that_is_trained_whole_is_turned(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    int64_t n;
    open_with(&c, "gpt2-clm", TASK_CAUSAL_LM,
              "{\"target_modules\": [\"c_attn\"], \"modules_to_save\": [\"c_fc\", \"lm_head\"]}");
    must(slots_init(c.values, c.table, c.arch, &c.lora, 5, &err), &err);
    SafeTensors *files = safetensors_open_model(c.arch->folder, &err);
    must(files != NULL, &err);
    const TensorView *t = safetensors_find(files, "transformer.h.1.mlp.c_fc.weight");
    const float *file = t->data, *got = slot_values(&c, "transformer.h.1.mlp.c_fc.weight", &n);
    for (int64_t o = 0; o < 128; o++)
        for (int64_t i = 0; i < 32; i++)
            assert_true(got[o * 32 + i] == file[i * 128 + o]);
    /* the tied head begins as the word table */
    t = safetensors_find(files, "transformer.wte.weight");
    assert_memory_equal(slot_values(&c, "lm_head.weight", &n), t->data, t->bytes);
    char *folder = test_folder_new(), *path = path_join(folder, "adapter_model.safetensors");
    must(slots_write_adapter(folder, &(AdapterForm){ .values = c.values }, c.table, &c.lora, "model", &err), &err);
    SafeTensors *adapter = safetensors_open(path, &err);
    must(adapter != NULL, &err);
    const TensorView *saved = safetensors_find(adapter, "base_model.model.transformer.h.1.mlp.c_fc.weight");
    assert_true(saved->dim[0] == 32 && saved->dim[1] == 128);
    assert_memory_equal(saved->data, file, saved->bytes);
    float *again = xcalloc((size_t)c.table->size, sizeof *again);
    must(slots_read_adapter(again, c.table, folder, &err), &err);
    assert_memory_equal(again, c.values, (size_t)c.table->size * sizeof *again);
    free(again);
    safetensors_close(adapter);
    safetensors_close(files);
    test_folder_drop(folder);
    free(path);
    close_case(&c);
}

static void a_table_under_a_lora_comes_along(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_with(&c, "llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"embed_tokens\"]}");
    must(slots_init(c.values, c.table, c.arch, &c.lora, 5, &err), &err);
    char *folder = test_folder_new(), *path = path_join(folder, "adapter_model.safetensors");
    must(slots_write_adapter(folder, &(AdapterForm){ .values = c.values }, c.table, &c.lora, "model", &err), &err);
    SafeTensors *adapter = safetensors_open(path, &err);
    must(adapter != NULL, &err);
    assert_int_equal(safetensors_count(adapter), 3);
    const TensorView *base = safetensors_find(adapter, "base_model.model.model.embed_tokens.base_layer.weight");
    SafeTensors *files = safetensors_open_model(c.arch->folder, &err);
    const TensorView *word = safetensors_find(files, "model.embed_tokens.weight");
    float *room = xcalloc((size_t)word->count, sizeof *room); /* bfloat16 there, f32 here */
    must(tensor_to_f32(room, word, 0, word->count, &err), &err);
    assert_int_equal(base->count, word->count);
    assert_memory_equal(base->data, room, base->bytes);
    must(slots_read_adapter(c.values, c.table, folder, &err), &err);
    /* the table of another model is refused */
    TensorOut out[3];
    room[7] += 1;
    for (int i = 0; i < 3; i++) {
        const TensorView *t = safetensors_at(adapter, i);
        out[i] = (TensorOut){ .name = t->name, .dims = t->dims, .data = t == base ? room : t->data };
        memcpy(out[i].dim, t->dim, sizeof out[i].dim);
    }
    char *other = test_folder_new(), *damaged = path_join(other, "adapter_model.safetensors");
    must(safetensors_write(damaged, out, 3, &err), &err);
    assert_false(slots_read_adapter(c.values, c.table, other, &err));
    if (!strstr(err.what, "embed_tokens.base_layer.weight' is not the model's"))
        fail_msg("%s | %s", err.what, err.where);
    test_folder_drop(other);
    free(damaged);
    free(room);
    safetensors_close(files);
    safetensors_close(adapter);
    test_folder_drop(folder);
    free(path);
    close_case(&c);
}

/* ---- what is refused --------------------------------------------------------------------- */

static void expect_refused(const char *name, TaskType task, const char *keys, const char *what, const char *hint)
{
    Err err = { 0 };
    char *folder = xprintf("tests/golden/%s/model", name);
    ModelArch *arch = open_arch(folder, task, task == TASK_CAUSAL_LM ? 0 : 3);
    LoraConfig lora = settings(keys);
    SlotTable *table = slots_open(arch, &lora, &err);
    float *values = table ? xcalloc((size_t)table->size, sizeof *values) : NULL;
    if (table && slots_init(values, table, arch, &lora, 1, &err))
        fail_msg("accepted, '%s' expected", what);
    if (!strstr(err.what, what) || !strstr(err.hint, hint))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    free(values);
    slots_close(table);
    lora_config_release(&lora);
    arch_close(arch);
    free(folder);
}

static void settings_that_cannot_be_are_refused(void **state)
{
    (void)state;
    expect_refused("distilbert-regress", TASK_SEQ_CLS, "{}", "model_type 'distilbert' has no default target_modules",
                   "[q_lin, v_lin]");
    expect_refused("vit-imgcls", TASK_IMAGE_CLS, "{}", "no default target_modules", "q_proj");
    expect_refused("distilbert-regress", TASK_SEQ_CLS, "{\"target_modules\": \"all-linear\"}",
                   "'pre_classifier' is adapted by target_modules and trained whole", "exclude_modules");
    expect_refused("bert-tokcls", TASK_TOKEN_CLS, "{\"target_modules\": [\"classifier\"]}",
                   "'classifier' is adapted by target_modules and trained whole", "");
    expect_refused("bert-tokcls", TASK_TOKEN_CLS, "{\"target_modules\": \".*(query|classifier)\"}",
                   "'classifier' is adapted", "");
    expect_refused("llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"input_layernorm\"]}", "which is a norm",
                   "modules_to_save");
    expect_refused("vit-imgcls", TASK_IMAGE_CLS, "{\"target_modules\": [\"cls_token\"]}",
                   "'cls_token' matches no module", "");
    expect_refused("vit-imgcls", TASK_IMAGE_CLS, "{\"target_modules\": [\"queri\"]}", "'queri' matches no module",
                   "q_proj");
    expect_refused("vit-imgcls", TASK_IMAGE_CLS, "{\"target_modules\": [\"q_proj\"], \"modules_to_save\": [\"score\"]}",
                   "'score' matches no module", "classifier");
    expect_refused("gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}", "'q_proj' matches no module",
                   "c_attn");
}

/* Rows of the word table, in the order of the list; nothing else of the table can be trained with them. */
static void rows_of_the_word_table_are_a_slot(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_with(&c, "gpt2-tokens", TASK_CAUSAL_LM,
              "{\"target_modules\": [\"c_attn\"], \"trainable_token_indices\": [7, 2]}");
    const Slot *slot = find_slot(c.table, "transformer.wte.token_adapter.trainable_tokens_delta");
    assert_true(slot && slot->kind == SLOT_TOKENS && slot->decay && slot->dim[0] == 2 && slot->dim[1] == 32);
    must(slots_init(c.values, c.table, c.arch, &c.lora, 1, &err), &err);
    SafeTensors *files = safetensors_open_model(c.arch->folder, &err);
    must(files != NULL, &err);
    const TensorView *word = stored_source(files, c.arch, arch_module(c.arch, -1, ROLE_WORD), false);
    float row[32];
    must(tensor_to_f32(row, word, (int64_t)7 * 32, 32, &err), &err);
    assert_memory_equal(c.values + slot->offset, row, sizeof row);
    const uint64_t hash = c.table->hash;
    safetensors_close(files);
    close_case(&c);
    open_with(&c, "gpt2-tokens", TASK_CAUSAL_LM,
              "{\"target_modules\": [\"c_attn\"], \"trainable_token_indices\": {\"wte\": [2, 7]}}");
    assert_true(c.table->hash != hash);
    close_case(&c);
    static const char *const bad[][2] = {
        { "[\"c_attn\"], \"trainable_token_indices\": [604]", "604 is no token of a vocabulary of 604" },
        { "[\"c_attn\"], \"trainable_token_indices\": [3, 3]", "token 3 stands there twice" },
        { "[\"c_attn\"], \"trainable_token_indices\": [0.5]", "not a list of whole numbers" },
        { "[\"c_attn\"], \"trainable_token_indices\": {\"wpe\": [1]}", "'wpe' is not the table of words" },
        { "[\"wte\"], \"trainable_token_indices\": [1]", "rows of 'transformer.wte', which is adapted" },
        { "[\"c_attn\"], \"trainable_token_indices\": [1], \"modules_to_save\": [\"lm_head\"]",
          "rows of 'lm_head', which is trained whole" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *keys = xprintf("{\"target_modules\": %s}", bad[i][0]);
        expect_refused("gpt2-tokens", TASK_CAUSAL_LM, keys, bad[i][1], "");
        free(keys);
    }
}

static void a_head_that_nothing_holds_has_to_be_trained(void **state)
{
    (void)state;
    Err err = { 0 };
    char *folder = test_folder_new(), *path = path_join(folder, "model.safetensors");
    char *config = path_join(folder, "config.json");
    const float one = 1;
    const TensorOut other = { .name = "other", .dims = 1, .dim = { 1 }, .data = &one };
    must(safetensors_write(path, &other, 1, &err), &err);
    size_t size;
    char *text = file_read("tests/golden/vit-imgcls/model/config.json", &size, &err);
    must(text && file_write(config, text, size, &err), &err);
    Case c = { .arch = open_arch(folder, TASK_IMAGE_CLS, 3), .lora = settings("{\"target_modules\": [\"q_proj\"]}") };
    open_table(&c);
    assert_false(slots_init(c.values, c.table, c.arch, &c.lora, 1, &err));
    if (!strstr(err.what, "the model has no 'classifier', and nothing trains it"))
        fail_msg("%s", err.what);
    assert_string_equal(err.hint, "lora.modules_to_save: [classifier]");
    close_case(&c);
    free(text);
    free(config);
    free(path);
    test_folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vits_targets_may_have_the_names_of_before),
        cmocka_unit_test(excluded_names_of_before_are_written_as_todays),
        cmocka_unit_test(adapters_of_before_are_read),
        cmocka_unit_test(of_a_table_it_is_b_that_is_random),
        cmocka_unit_test(of_a_convolution_all_of_a_kernel_is_its_input),
        cmocka_unit_test(a_conv1d_that_is_trained_whole_is_turned),
        cmocka_unit_test(a_table_under_a_lora_comes_along),
        cmocka_unit_test(settings_that_cannot_be_are_refused),
        cmocka_unit_test(rows_of_the_word_table_are_a_slot),
        cmocka_unit_test(a_head_that_nothing_holds_has_to_be_trained),
    };
    return cmocka_run_group_tests_name("slots_kinds", tests, NULL, NULL);
}
