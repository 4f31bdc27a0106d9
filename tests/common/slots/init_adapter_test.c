/* A run begins with an adapter: it takes its settings and labels, or is told where it says otherwise. */
#include "common/slots/init_adapter.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/slots/inits.h"
#include "tests/common/config/load.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <stdlib.h>

#define INIT "tests/golden/bert-multilabel/init"
#define BASE "model: m\ntask_type: SEQ_CLS\nlora:\n  init_adapter: " INIT "\n"

static void expect_key(const Config *c, const char *key, const char *value)
{
    Text text = { 0 };
    config_print_key(c, key, &text);
    assert_string_equal(text.data, value);
    text_release(&text);
}

static void a_run_takes_what_it_does_not_say(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    Text taken = { 0 };
    load_good(&c, BASE "  lora_dropout: 0.25\n", NULL);
    must(init_adapter_take(&c, &taken, &err), &err);
    expect_key(&c, "lora.r", "4");
    expect_key(&c, "lora.target_modules", "[intermediate.dense, query, value]");
    expect_key(&c, "lora.rank_pattern", "{value: 2}");
    expect_key(&c, "lora.alpha_pattern", "{intermediate.dense: 2.0}");
    expect_key(&c, "lora.layers_to_transform", "[0, 2]");
    expect_key(&c, "lora.modules_to_save", "null"); /* the heads are added anyway */
    expect_key(&c, "lora.lora_dropout", "0.25"); /* no value of the adapter depends on it */
    expect_in(taken.data, "lora.r 4, ");
    expect_in(taken.data, "lora.rank_pattern {value: 2}");
    /* it is said by now: once more changes nothing */
    text_release(&taken);
    must(init_adapter_take(&c, &taken, &err), &err);
    assert_int_equal(taken.size, 0);
    text_release(&taken);
    config_release(&c);
}

static void every_golden_adapter_fits_the_model_without_a_setting(void **state)
{
    (void)state;
    for (int g = 0; g < GOLDEN; g++) {
        Config c;
        Case of;
        Err err = { 0 };
        char *init = xprintf("tests/golden/%s/init", golden[g].name);
        if (!file_is_folder(init)) {
            free(init);
            continue;
        }
        char *text =
            xprintf("model: m\ntask_type: %s\nlora: {init_adapter: %s}\n", config_task_name(golden[g].task), init);
        load_good(&c, text, NULL);
        open_golden_part(&of, g, "init");
        if (inits_shift(&of.lora)) { /* no beginning */
            assert_false(init_adapter_take(&c, NULL, &err));
            expect_in(err.what, "init_lora_weights changed the base");
            expect_in(err.where, init);
            close_case(&of);
            config_release(&c);
            free(text);
            free(init);
            continue;
        }
        must(init_adapter_take(&c, NULL, &err), &err);
        SlotTable *table = slots_open(of.arch, &c.lora, &err);
        must(table != NULL, &err);
        must(slots_read_adapter(of.values, table, init, &err), &err);
        assert_true(table->hash == of.table->hash);
        slots_close(table);
        close_case(&of);
        config_release(&c);
        free(text);
        free(init);
    }
}

static void refused(const char *text, const char *what, const char *where, const char *hint)
{
    Config c;
    Err err = { 0 };
    load_good(&c, text, NULL);
    assert_false(init_adapter_take(&c, NULL, &err));
    expect_in(err.what, what);
    expect_in(err.where, where);
    expect_in(err.hint, hint);
    assert_int_equal(err_exit_code(&err), 2);
    config_release(&c);
}

static void a_contradiction_names_both_values(void **state)
{
    (void)state;
    refused(BASE "  r: 16\n  lora_alpha: 32\n  target_modules: [query]\n  bias: all\n",
            "the adapter to begin with has other settings: lora.r (16 here, 4 there); lora.lora_alpha (32.0 here, 8.0 "
            "there); lora.bias (all here, none there)",
            "run.yaml:4: lora.init_adapter", "leave out of the run file");
    refused(BASE "  rank_pattern: {value: 3}\n  alpha_pattern: {query: 2}\n",
            "lora.rank_pattern ({value: 3} here, {value: 2} there); lora.alpha_pattern ({query: 2.0} here, ", "", "");
    refused(BASE "  use_rslora: true\n", "lora.use_rslora (true here, false there)", "", "");
    /* the default, written down, is said */
    refused(BASE "  r: 8\n", "lora.r (8 here, 4 there)", "", "");
}

static void the_method_is_the_adapters(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    load_good(&c, "model: m\ntask_type: SEQ_CLS\nlora: {init_adapter: tests/golden/bert-rslora/init}\n", NULL);
    must(init_adapter_take(&c, NULL, &err), &err);
    assert_true(c.lora.use_rslora);
    config_release(&c);
}

static void modules_that_do_not_fit_are_named(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    load_good(&c, BASE "  target_modules: [query]\n  lora_dropout: 0.5\n", NULL);
    must(init_adapter_take(&c, NULL, &err), &err); /* a list may be written in many ways */
    err_set(&err, ERR_INPUT, "a tensor is missing");
    err_hint(&err, "another hint");
    init_adapter_hint(&c, &err);
    assert_string_equal(err.hint, "what the run file leaves out is the adapter's; other than its own are "
                                  "lora.target_modules ([query] here, "
                                  "[intermediate.dense, query, value] there)");
    config_release(&c);
}

static void without_an_adapter_there_it_says_so(void **state)
{
    (void)state;
    refused("model: m\nlora: {init_adapter: tests/golden/bert-seqcls/model}\n", "there is no adapter in this folder",
            "run.yaml:2: lora.init_adapter: ", "train.output_dir");
    refused("model: m\nlora: {init_adapter: nowhere}\n", "there is no such folder", "nowhere", "");
    char *folder = test_folder_new(), *path = path_join(folder, "adapter_config.json");
    static const char qalora[] = "{\"peft_type\": \"LORA\", \"use_qalora\": true}";
    Err err = { 0 };
    must(file_write(path, qalora, sizeof qalora - 1, &err), &err);
    char *text = xprintf("model: m\nlora: {init_adapter: %s}\n", folder);
    refused(text, "an adapter with 'use_qalora' is not supported", "adapter_config.json", "");
    free(text);
    free(path);
    test_folder_drop(folder);
}

/* Its head has one output a label, in its run's order. */
static void the_labels_are_those_of_the_adapters_run(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    char *folder = test_folder_new(), *config = path_join(folder, "adapter_config.json"),
         *run = path_join(folder, "run.yaml");
    static const char lora[] = "{\"peft_type\": \"LORA\", \"target_modules\": [\"query\"]}",
                      text[] = "model: m\nlabels: [good, bad]\n";
    must(file_write(config, lora, sizeof lora - 1, &err) && file_write(run, text, sizeof text - 1, &err), &err);
    char *ours = xprintf("model: m\nlora: {init_adapter: %s}\n", folder);
    load_good(&c, ours, NULL);
    must(init_adapter_take(&c, NULL, &err), &err);
    expect_key(&c, "labels", "[good, bad]");
    config_release(&c);
    load_good(&c, ours, OVERRIDES("labels=bad,good")); /* its head's outputs would have each other's names */
    assert_false(init_adapter_take(&c, NULL, &err));
    expect_in(err.what, "the adapter's labels stand in another order: 'bad' is number 0 here, 1 there");
    config_release(&c);
    free(ours);
    free(run);
    free(config);
    test_folder_drop(folder);
}

static void a_run_without_one_stays_as_it_is(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    Text taken = { 0 };
    load_good(&c, "model: m\n", NULL);
    must(init_adapter_take(&c, &taken, &err), &err);
    assert_int_equal(taken.size, 0);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_takes_what_it_does_not_say),
        cmocka_unit_test(every_golden_adapter_fits_the_model_without_a_setting),
        cmocka_unit_test(a_contradiction_names_both_values),
        cmocka_unit_test(the_method_is_the_adapters),
        cmocka_unit_test(modules_that_do_not_fit_are_named),
        cmocka_unit_test(without_an_adapter_there_it_says_so),
        cmocka_unit_test(the_labels_are_those_of_the_adapters_run),
        cmocka_unit_test(a_run_without_one_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
