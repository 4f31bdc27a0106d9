/* Which modules a LoRA setting means: PEFT 0.21.2's answers on the same model. */
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/slots/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A BERT of two, or of three layers. */
static const char TWO[] = "tests/golden/bert-seqcls/model";
static const char THREE[] = "tests/golden/bert-multilabel/model";

static ModelArch *open_arch(const char *folder, TaskType task)
{
    Err err = { 0 };
    const StringList names = { 0 };
    ModelArch *arch = arch_open(folder, NULL, task, &names, 2, PROBLEM_AUTO, &err);
    if (!arch)
        fail_msg("%s | %s", err.what, err.where);
    return arch;
}

/* Words parted by spaces, as lora_config_release takes them. */
static StringList words(const char *text)
{
    StringList list = { 0 };
    char *copy = xstrdup(text), *rest = copy, *word;
    while ((word = strsep(&rest, " "))) {
        list.items = xrealloc(list.items, ((size_t)list.count + 1) * sizeof *list.items);
        list.items[list.count++] = xstrdup(word);
    }
    free(copy);
    return list;
}

static LoraConfig with_targets(const char *names)
{
    LoraConfig lora = { .r = 2, .alpha = 4 };
    if (names)
        lora.target_modules = words(names);
    return lora;
}

/* The table's names without PEFT's prefix, a line each. */
static char *table_names(const SlotTable *table)
{
    Text text = { 0 };
    for (int i = 0; i < table->count; i++)
        text_addf(&text, "%s\n", table->slots[i].name + strlen("base_model.model."));
    return text_take(&text);
}

static int count_kind(const SlotTable *table, SlotKind kind)
{
    int n = 0;
    for (int i = 0; i < table->count; i++)
        n += table->slots[i].kind == kind;
    return n;
}

static SlotTable *open_good(const ModelArch *arch, const LoraConfig *lora)
{
    Err err = { 0 };
    SlotTable *table = slots_open(arch, lora, &err);
    if (!table)
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    return table;
}

/* Takes `lora`. Adapted modules, whole ones, biases. */
static void expect_counts(LoraConfig lora, int adapted, int whole, int biases)
{
    ModelArch *arch = open_arch(TWO, TASK_SEQ_CLS);
    SlotTable *table = open_good(arch, &lora);
    assert_int_equal(count_kind(table, SLOT_LORA_A), adapted);
    assert_int_equal(count_kind(table, SLOT_LORA_B), adapted);
    assert_int_equal(count_kind(table, SLOT_WEIGHT), whole);
    assert_int_equal(count_kind(table, SLOT_BIAS), biases);
    slots_close(table);
    arch_close(arch);
    lora_config_release(&lora);
}

/* Takes `lora`. */
static void expect_refused(LoraConfig lora, const char *what, const char *where, const char *hint)
{
    ModelArch *arch = open_arch(TWO, TASK_SEQ_CLS);
    Err err = { 0 };
    SlotTable *table = slots_open(arch, &lora, &err);
    if (table)
        fail_msg("accepted, '%s' expected", what);
    if (!strstr(err.what, what) || !strstr(err.where, where) || !strstr(err.hint, hint))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    assert_int_equal(err_exit_code(&err), 2);
    arch_close(arch);
    lora_config_release(&lora);
}

/* ---- targets ------------------------------------------------------------------ */

static void names_match_the_end_of_a_path_at_a_dot(void **state)
{
    (void)state;
    expect_counts(with_targets("query value"), 4, 1, 1);
    expect_counts(with_targets("dense"), 7, 1, 1); /* and the pooler's */
    expect_counts(with_targets("output.dense"), 4, 1, 1);
    expect_counts(with_targets("intermediate.dense"), 2, 1, 1);
    expect_counts(with_targets("bert.encoder.layer.1.attention.self.key"), 1, 1, 1);
    expect_counts(with_targets(NULL), 4, 1, 1); /* PEFT's default: query and value */
    expect_refused(with_targets("uery"), "'uery' matches no module", "lora.target_modules", "did you mean 'query'?");
}

static void a_name_that_means_nothing_is_an_error(void **state)
{
    (void)state;
    expect_refused(with_targets("query valeu"), "'valeu' matches no module", "lora.target_modules",
                   "did you mean 'value'? names that do: query, key, value, dense, classifier");
    expect_refused(with_targets("attention"), "'attention' is no module with weights, but the parent",
                   "lora.target_modules", "query");
    expect_refused(with_targets("LayerNorm"), "LayerNorm', which is a norm", "lora.target_modules", "modules_to_save");
    expect_refused(with_targets("que.*"), "'que.*' matches no module", "lora.target_modules", "");
    LoraConfig lora = with_targets("query");
    lora.exclude_modules = words("pooler");
    expect_refused(lora, "'pooler' is no module", "lora.exclude_modules", "");
    lora = with_targets("query");
    lora.modules_to_save = words("poler.dense");
    expect_refused(lora, "'poler.dense' matches no module", "lora.modules_to_save", "'pooler.dense'");
}

static void a_regular_expression_matches_whole_names(void **state)
{
    (void)state;
    LoraConfig lora = with_targets(NULL);
    lora.target_regex = xstrdup(".*layer\\.[01]\\..*\\.(query|key)");
    expect_counts(lora, 4, 1, 1);
    lora = with_targets(NULL);
    lora.target_regex = xstrdup("query");
    expect_refused(lora, "'query' leaves no module", "lora.target_modules",
                   "write a list: lora.target_modules: [query]; a text is a regular expression");
    lora = with_targets(NULL);
    lora.target_regex = xstrdup("query, attention.self.value");
    expect_refused(lora, "leaves no module", "lora.target_modules", "[query, attention.self.value]");
    lora = with_targets(NULL);
    lora.target_regex = xstrdup(".*qery");
    expect_refused(lora, "'.*qery' leaves no module", "lora.target_modules", "has to match whole names like 'bert.");
    lora = with_targets(NULL);
    lora.exclude_regex = xstrdup("query");
    expect_refused(lora, "exclude_modules 'query' matches no module", "lora.exclude_modules",
                   "write a list: lora.exclude_modules: [query]");
    lora = with_targets(NULL);
    lora.target_regex = xstrdup("a(b");
    expect_refused(lora, "'a(b' is no regular expression", "lora.target_modules", "");
}

static void exclusions_win(void **state)
{
    (void)state;
    LoraConfig lora = with_targets("query value");
    lora.exclude_modules = words("layer.0.attention.self.query");
    expect_counts(lora, 3, 1, 1);
    lora = with_targets("query value");
    lora.exclude_regex = xstrdup(".*layer\\.0.*");
    expect_counts(lora, 2, 1, 1);
    lora = with_targets("query value"); /* the rest is adapted */
    lora.exclude_modules = words("query");
    expect_counts(lora, 2, 1, 1);
    lora = with_targets("query");
    lora.exclude_modules = words("query");
    expect_refused(lora, "leaves no module to adapt", "lora.target_modules", "exclude_modules");
}

static void layers_hold_for_suffixes_and_not_for_whole_names(void **state)
{
    (void)state;
    LoraConfig lora = with_targets("query bert.encoder.layer.0.attention.self.query");
    lora.layers_to_transform = xcalloc(1, sizeof(int64_t));
    lora.layers_to_transform[0] = 1;
    lora.layers_count = 1;
    expect_counts(lora, 2, 1, 1);
    lora = with_targets("query pooler.dense"); /* the pooler is in no layer: the rest is adapted */
    lora.layers_to_transform = xcalloc(1, sizeof(int64_t));
    lora.layers_to_transform[0] = 1;
    lora.layers_count = 1;
    expect_counts(lora, 1, 1, 1);
    lora = with_targets("pooler.dense");
    lora.layers_to_transform = xcalloc(1, sizeof(int64_t));
    lora.layers_to_transform[0] = 1;
    lora.layers_count = 1;
    expect_refused(lora, "leaves no module to adapt", "lora.target_modules", "layers_to_transform");
    lora = with_targets("query");
    lora.layers_to_transform = xcalloc(1, sizeof(int64_t));
    lora.layers_to_transform[0] = 2;
    lora.layers_count = 1;
    expect_refused(lora, "there is no layer 2: the model has layers 0 to 1", "lora.layers_to_transform", "");
}

/* ---- all-linear ------------------------------------------------------------------ */

static void all_linear_leaves_the_head_and_lists_names_as_peft(void **state)
{
    (void)state;
    LoraConfig lora = with_targets(NULL);
    lora.all_linear = true;
    ModelArch *arch = open_arch(TWO, TASK_SEQ_CLS);
    SlotTable *table = open_good(arch, &lora);
    assert_int_equal(count_kind(table, SLOT_LORA_A), 13);
    assert_int_equal(table->target_count, 13); /* below 20: whole names */
    assert_string_equal(table->targets[0], "bert.encoder.layer.0.attention.output.dense");
    slots_close(table);
    table = NULL;
    arch_close(arch);
    lora.all_linear = true;
    json_t *config = json_pack("{s:i}", "num_hidden_layers", 4);
    const StringList names = { 0 };
    Err err = { 0 };
    arch = arch_open(THREE, config, TASK_SEQ_CLS, &names, 2, PROBLEM_AUTO, &err);
    assert_non_null(arch);
    table = open_good(arch, &lora);
    assert_int_equal(count_kind(table, SLOT_LORA_A), 25);
    const char *const short_names[] = { "dense", "key", "query", "value" };
    assert_int_equal(table->target_count, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(table->targets[i], short_names[i]);
    slots_close(table);
    arch_close(arch);
    json_decref(config);
}

/* ---- modules_to_save ---------------------------------------------------------------- */

static void saved_modules_need_no_dot(void **state)
{
    (void)state;
    LoraConfig lora = with_targets("query");
    lora.modules_to_save = words("pooler output.LayerNorm");
    expect_counts(lora, 2, 1 + 4 + 1, 1 + 4 + 1);
    lora = with_targets("dense"); /* what is saved gets no LoRA */
    lora.modules_to_save = words("pooler");
    expect_counts(lora, 6, 2, 2);
    lora = with_targets("query");
    lora.modules_to_save = words("embeddings"); /* the norm's bias, no others */
    expect_counts(lora, 2, 4 + 1, 1 + 1);
}

static void a_module_is_not_adapted_and_saved_at_once(void **state)
{
    (void)state;
    LoraConfig lora = with_targets("query");
    lora.modules_to_save = words("uery");
    expect_refused(lora, "query' is adapted by target_modules and trained whole", "lora.modules_to_save", "");
    expect_counts(with_targets("query classifier"), 2, 1, 1); /* the head is trained whole, always */
    expect_refused(with_targets("classifier"), "leaves no module to adapt", "lora.target_modules", "modules_to_save");
    lora = with_targets("query value");
    lora.modules_to_save = words("query");
    expect_counts(lora, 2, 1 + 2, 1 + 2);
}

/* What PEFT passes over when it loads an adapter: names that were meant for another model. */
static void an_adapters_own_names_may_mean_nothing(void **state)
{
    (void)state;
    for (int run = 0; run < 2; run++) {
        for (int kind = 0; kind < 5; kind++) {
            LoraConfig lora = with_targets(kind == 0 ? "query c_attn" : "query");
            lora.published = run == 0;
            if (kind == 1)
                lora.exclude_modules = words("c_proj");
            if (kind == 2)
                lora.modules_to_save = words("lm_head");
            if (kind == 3) {
                lora.layers_to_transform = xcalloc(2, sizeof(int64_t));
                lora.layers_to_transform[1] = 17;
                lora.layers_count = 2;
            }
            if (kind == 4) {
                lora.alpha_pattern.keys = xcalloc(1, sizeof(char *));
                lora.alpha_pattern.values = xcalloc(1, sizeof(double));
                lora.alpha_pattern.keys[0] = xstrdup("c_attn");
                lora.alpha_pattern.values[0] = 3;
                lora.alpha_pattern.count = 1;
            }
            if (lora.published)
                expect_counts(lora, kind == 3 ? 1 : 2, 1, 1);
            else
                expect_refused(lora, kind == 3 ? "there is no layer 17" : "matches no", "lora.", "");
        }
    }
    LoraConfig lora = with_targets("c_attn");
    lora.published = true;
    expect_refused(lora, "target_modules 'c_attn' leaves no module to adapt", "lora.target_modules",
                   "another kind of model");
}

/* ---- biases --------------------------------------------------------------------------- */

static void biases_have_the_names_that_peft_gives_them(void **state)
{
    (void)state;
    LoraConfig lora = with_targets("query");
    lora.bias = BIAS_LORA_ONLY;
    ModelArch *arch = open_arch(TWO, TASK_SEQ_CLS);
    SlotTable *table = open_good(arch, &lora);
    char *names = table_names(table);
    assert_string_equal(names, "bert.encoder.layer.0.attention.self.query.lora_A.weight\n"
                               "bert.encoder.layer.0.attention.self.query.lora_B.weight\n"
                               "bert.encoder.layer.0.attention.self.query.base_layer.bias\n"
                               "bert.encoder.layer.1.attention.self.query.lora_A.weight\n"
                               "bert.encoder.layer.1.attention.self.query.lora_B.weight\n"
                               "bert.encoder.layer.1.attention.self.query.base_layer.bias\n"
                               "classifier.bias\n"
                               "classifier.weight\n");
    free(names);
    slots_close(table);
    lora.bias = BIAS_ALL;
    table = open_good(arch, &lora);
    names = table_names(table);
    assert_int_equal(count_kind(table, SLOT_BIAS), 1 + 2 * 8 + 1 + 1);
    assert_non_null(strstr(names, "layer.0.attention.self.query.base_layer.bias\n"));
    assert_non_null(strstr(names, "layer.0.attention.self.key.bias\n"));
    assert_non_null(strstr(names, "bert.embeddings.LayerNorm.bias\n"));
    free(names);
    slots_close(table);
    arch_close(arch);
    lora_config_release(&lora);
}

static void weights_decay_and_biases_and_norms_do_not(void **state)
{
    (void)state;
    LoraConfig lora = with_targets("query");
    lora.bias = BIAS_ALL;
    lora.modules_to_save = words("LayerNorm word_embeddings");
    ModelArch *arch = open_arch(TWO, TASK_SEQ_CLS);
    SlotTable *table = open_good(arch, &lora);
    int decaying = 0;
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        const bool norm = arch->modules[slot->module].kind == MODULE_NORM;
        assert_int_equal(slot->decay, slot->kind != SLOT_BIAS && !norm);
        decaying += slot->decay;
    }
    assert_int_equal(decaying, 2 * 2 + 1 + 1); /* A and B twice, head, words */
    slots_close(table);
    arch_close(arch);
    lora_config_release(&lora);
}

/* ---- patterns ---------------------------------------------------------------------------- */

static PatternMap pattern(const char *key, double value)
{
    PatternMap map = { xcalloc(1, sizeof *map.keys), xcalloc(1, sizeof *map.values), 1 };
    map.keys[0] = xstrdup(key);
    map.values[0] = value;
    return map;
}

static void patterns_are_regular_expressions_at_the_end(void **state)
{
    (void)state;
    LoraConfig lora = with_targets("query value");
    lora.rank_pattern = pattern("layer.1.*.value", 6);
    ModelArch *arch = open_arch(TWO, TASK_SEQ_CLS);
    SlotTable *table = open_good(arch, &lora);
    assert_int_equal(table->modules[arch_module_index(arch, 0, ROLE_V)].r, 2);
    assert_int_equal(table->modules[arch_module_index(arch, 1, ROLE_V)].r, 6);
    assert_int_equal(table->modules[arch_module_index(arch, 1, ROLE_Q)].r, 2);
    const Slot *a = &table->slots[table->modules[arch_module_index(arch, 1, ROLE_V)].a];
    assert_true(a->dim[0] == 6 && a->dim[1] == 32);
    slots_close(table);
    arch_close(arch);
    lora_config_release(&lora);
    lora = with_targets("query value");
    lora.rank_pattern = pattern("key", 6);
    expect_refused(lora, "'key' matches no adapted module", "lora.rank_pattern", "");
}

static void the_description_tells_shapes_and_shares(void **state)
{
    (void)state;
    LoraConfig lora = with_targets("query");
    ModelArch *arch = open_arch(TWO, TASK_SEQ_CLS);
    SlotTable *table = open_good(arch, &lora);
    Text out = { 0 };
    slots_describe(table, arch, &out);
    assert_non_null(strstr(out.data, "bert.encoder.layer.1.attention.self.query"));
    assert_non_null(strstr(out.data, "lora r=2 scale=2  128 parameters\n"));
    assert_non_null(strstr(out.data, "2 of 22 modules adapted, 1 trained whole\n"));
    char *share = xprintf("trainable parameters: %d of %lld", 2 * 128 + 2 * 32 + 2, (long long)arch_parameters(arch));
    assert_non_null(strstr(out.data, share));
    free(share);
    text_release(&out);
    slots_close(table);
    arch_close(arch);
    lora_config_release(&lora);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_match_the_end_of_a_path_at_a_dot),
        cmocka_unit_test(a_name_that_means_nothing_is_an_error),
        cmocka_unit_test(a_regular_expression_matches_whole_names),
        cmocka_unit_test(exclusions_win),
        cmocka_unit_test(layers_hold_for_suffixes_and_not_for_whole_names),
        cmocka_unit_test(all_linear_leaves_the_head_and_lists_names_as_peft),
        cmocka_unit_test(saved_modules_need_no_dot),
        cmocka_unit_test(a_module_is_not_adapted_and_saved_at_once),
        cmocka_unit_test(an_adapters_own_names_may_mean_nothing),
        cmocka_unit_test(biases_have_the_names_that_peft_gives_them),
        cmocka_unit_test(weights_decay_and_biases_and_norms_do_not),
        cmocka_unit_test(patterns_are_regular_expressions_at_the_end),
        cmocka_unit_test(the_description_tells_shapes_and_shares),
    };
    return cmocka_run_group_tests_name("slots_match", tests, NULL, NULL);
}
