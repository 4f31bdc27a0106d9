/* Names of LoraConfig and TrainingArguments: every row does what it says. */
#include "common/base/mem.h"
#include "common/config/config_names.h"
#include "common/config/config_table.h"
#include "tests/common/config/load.h"

#include <stdlib.h>

#define PLAIN "model: m\ndata: {validation: v.tsv}\n"

/* A run file with one such name. Owned. */
static char *with(const char *name, const char *value)
{
    const char *dot = strchr(name, '.');
    return xprintf(PLAIN "%.*s:\n  %s: %s\n", (int)(dot - name), name, dot + 1, value);
}

static char *printed(const Config *config)
{
    Text text = { 0 };
    config_print(config, &text);
    return text_take(&text);
}

static char *print_file(const char *text)
{
    Config c;
    load_good(&c, text, NULL);
    char *all = printed(&c);
    config_release(&c);
    return all;
}

static bool has_section_key(const char *name)
{
    return strchr(name, '.') && (text_starts(name, "lora.") || text_starts(name, "train."));
}

static void rows_name_keys_that_exist_and_reasons_where_defaults_differ(void **state)
{
    (void)state;
    int count;
    const PeerName *rows = config_names(&count);
    for (int i = 0; i < count; i++) {
        const PeerName *row = &rows[i];
        assert_true(has_section_key(row->name));
        assert_ptr_equal(config_name_find(row->name), row); /* none is there twice */
        if (row->key)
            assert_non_null(config_find(row->key));
        const bool own = row->kind == NAME_KEY;
        if ((own && strcmp(row->key, row->name) != 0) || (!own && config_find(row->name)))
            fail_msg("%s is a key with another kind of row", row->name);
        if (config_name_differs(row) && !row->note)
            fail_msg("no reason for the default of %s", row->name);
        if (row->kind >= NAME_ANY && !row->note)
            fail_msg("nothing is said of %s", row->name);
    }
    assert_true(config_name_differs(config_name_find("lora.lora_alpha")));
    assert_true(config_name_differs(config_name_find("train.eval_strategy")));
    assert_false(config_name_differs(config_name_find("train.adam_epsilon")));
    assert_false(config_name_differs(config_name_find("train.metric_for_best_model")));
}

/* A default that changes nothing here, and what it may change. */
static void the_default_of_the_library_is_accepted(void **state)
{
    (void)state;
    int count;
    const PeerName *rows = config_names(&count);
    char *plain = print_file(PLAIN);
    for (int i = 0; i < count; i++) {
        if (!rows[i].initial)
            continue;
        char *text = with(rows[i].name, rows[i].initial);
        Config c;
        Err err;
        if (!load_with(&c, text, NULL, &err))
            fail_msg("%s: %s | %s", rows[i].name, err.what, err.hint);
        char *all = printed(&c);
        const bool sets = rows[i].kind <= NAME_BATCH;
        if (!sets && (strcmp(all, plain) != 0 || c.notes[0]))
            fail_msg("%s changes the run: %s", rows[i].name, c.notes);
        free(all);
        free(text);
        config_release(&c);
    }
    free(plain);
}

static void another_value_is_refused_with_what_to_write(void **state)
{
    (void)state;
    int count;
    const PeerName *rows = config_names(&count);
    for (int i = 0; i < count; i++) {
        if (rows[i].kind != NAME_ONLY && rows[i].kind != NAME_LATER)
            continue;
        char *text = with(rows[i].name, "something-else"), *where = xprintf("run.yaml:4: %s", rows[i].name);
        expect_refused(text, NULL, rows[i].kind == NAME_LATER ? "is not supported yet" : "is not supported", where,
                       rows[i].note);
        free(text);
        text = xprintf("%s=something-else", rows[i].name);
        expect_refused(PLAIN, OVERRIDES(text), rows[i].name, rows[i].name, rows[i].note);
        free(where);
        free(text);
    }
}

static void listed_values_are_accepted_too(void **state)
{
    (void)state;
    int count;
    const PeerName *rows = config_names(&count);
    char *plain = print_file(PLAIN);
    for (int i = 0; i < count; i++) {
        const bool only = rows[i].kind == NAME_ONLY || rows[i].kind == NAME_LATER;
        for (const char *v = only ? rows[i].values : NULL; v && *v; v += strcspn(v, "|"), v += *v == '|') {
            char *word = xstrndup(v, strcspn(v, "|")), *text = with(rows[i].name, word);
            char *all = print_file(text);
            assert_string_equal(all, plain);
            free(all);
            free(text);
            free(word);
        }
    }
    free(plain);
}

static void what_changes_nothing_is_told(void **state)
{
    (void)state;
    int count;
    const PeerName *rows = config_names(&count);
    char *plain = print_file(PLAIN);
    for (int i = 0; i < count; i++) {
        if (rows[i].kind != NAME_ANY)
            continue;
        char *text = with(rows[i].name, "{a: [1, something]}");
        Config c;
        load_good(&c, text, NULL);
        char *all = printed(&c);
        assert_string_equal(all, plain);
        expect_in(c.notes, rows[i].name);
        expect_in(c.notes, rows[i].note);
        free(all);
        free(text);
        config_release(&c);
    }
    free(plain);
}

static void names_stand_for_keys(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        { "lora: {task_type: TOKEN_CLS}", "task_type: TOKEN_CLS" },
        { "lora: {base_model_name_or_path: other}", "model: other" },
        { "train: {evaluation_strategy: steps}", "train: {eval_strategy: steps}" },
        { "train: {max_seq_length: 64}", "data: {max_length: 64}" },
        { "train: {dataset_text_field: body}", "data: {text: body}" },
        { "task_type: CAUSAL_LM\ndata: {block_size: 600}\ntrain: {packing: true, packing_strategy: bfd}",
          "task_type: CAUSAL_LM\ndata: {block_size: 600, packing: true}" },
        { "train: {packing: False, completion_only_loss: true, assistant_only_loss: null, dataset_num_proc: 4}",
          "train: {}" },
        { "train: {train_sampling_strategy: sequential}", "data: {shuffle: false}" },
        { "train: {train_sampling_strategy: random}", "data: {shuffle: true}" },
        { "train: {warmup_steps: 0.25}", "train: {warmup_ratio: 0.25}" },
        { "train: {warmup_steps: 25}", "train: {warmup_steps: 25.0}" },
        { "train: {activation_checkpointing: true}", "train: {gradient_checkpointing: true}" },
        { "train: {gradient_checkpointing: null}", "train: {gradient_checkpointing: false}" },
        { "train: {bf16: true}", "train: {precision: bf16}" },
        { "train: {bf16: False, fp16: False, activation_checkpointing: None}", "train: {precision: fp32}" },
        { "lora: {target_modules: None, layers_to_transform: None}", "lora: {target_modules: null}" },
        { "train: {metric_for_best_model: null, save_total_limit: None}", "train: {}" },
        { "train: {report_to: []}", "train: {report_to: none}" },
        { "train: {report_to: [none], optim: adamw_torch, label_smoothing_factor: 0}", "train: {}" },
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const bool model = strstr(same[i][1], "model: o") != NULL;
        const bool steps = strstr(same[i][1], "eval_strategy: steps") != NULL;
        const char *data = steps ? "data: {validation: v}\n" : "";
        char *a = xprintf("%s%s%s\n", model ? "" : "model: m\n", data, same[i][0]);
        char *b = xprintf("%s%s%s\n", model ? "" : "model: m\n", data, same[i][1]);
        char *one = print_file(a), *other = print_file(b);
        assert_string_equal(one, other);
        free(one);
        free(other);
        free(a);
        free(b);
    }
    expect_refused("model: m\ntrain:\n  max_seq_length: 0\n", NULL, "0 is out of range",
                   "run.yaml:3: train.max_seq_length", "data.max_length takes");
    expect_refused("model: m\ntrain: {train_sampling_strategy: group_by_length}\n", NULL, "group_by_length",
                   "train.train_sampling_strategy", "random or sequential");
    expect_refused("model: m\ntask_type: CAUSAL_LM\ntrain:\n  max_seq_length: 256\n  packing: true\n", NULL,
                   "how large a pack may be is not said", "run.yaml:5: train.packing", "set data.block_size: 256");
    expect_refused("model: m\ntrain: {packing_strategy: wrapped}\n", NULL, "wrapped", "train.packing_strategy",
                   "borders are kept");
    expect_refused("model: m\ntrain: {completion_only_loss: false}\n", NULL, "false", "train.completion_only_loss",
                   "learnt whole are data.text");
    expect_refused("model: m\ntrain: {assistant_only_loss: false}\n", NULL, "false", "train.assistant_only_loss",
                   "what the assistant says");
    expect_refused("model: m\ntrain: {chat_template_path: x.jinja}\n", NULL, "x.jinja", "train.chat_template_path",
                   "as chat_template.jinja");
    expect_refused("model: m\ntrain: {overwrite_output_dir: true}\n", NULL, "true", "train.overwrite_output_dir",
                   "lora train RUN.yaml --overwrite");
    expect_refused("model: m\ntrain: {bf16: maybe}\n", NULL, "'maybe' is not supported", "train.bf16", "false or true");
    expect_refused("model: m\ntrain: {warmup_steps: 1.5}\n", NULL, "'1.5' is not a whole number", "train.warmup_steps",
                   "");
}

static void two_names_of_one_key_agree(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\ndata: {max_length: 64}\ntrain: {max_seq_length: 64, bf16: false}\n", NULL);
    assert_int_equal(c.data.max_length, 64);
    config_release(&c);
    load_good(&c, "model: m\ntrain: {max_seq_length: 64}\n", OVERRIDES("data.max_length=32"));
    assert_int_equal(c.data.max_length, 32);
    config_release(&c);
    load_good(&c, "model: m\ndata: {max_length: 64}\n", OVERRIDES("train.max_seq_length=32"));
    assert_int_equal(c.data.max_length, 32);
    config_release(&c);
    expect_refused("model: m\ndata:\n  max_length: 64\ntrain:\n  max_seq_length: 128\n", NULL,
                   "data.max_length would be 64 by one key and 128 by another",
                   "run.yaml:3: data.max_length and run.yaml:5: train.max_seq_length", "keep one");
    expect_refused("model: m\ntrain:\n  evaluation_strategy: steps\n  eval_strategy: epoch\n", NULL,
                   "train.eval_strategy would be steps",
                   "run.yaml:3: train.evaluation_strategy and run.yaml:4: train.eval_strategy", "keep one");
    load_good(&c, "model: m\ntrain: {data_seed: 7, seed: 7}\n", NULL);
    config_release(&c);
    expect_refused("model: m\ntrain:\n  seed: 7\n  data_seed: 8\n", NULL, "train.seed would be 7",
                   "run.yaml:3: train.seed and run.yaml:4: train.data_seed", "remove train.data_seed");
    load_good(&c, PLAIN "train: {metric_for_best_model: f1, greater_is_better: True}\n", NULL);
    config_release(&c);
    load_good(&c, PLAIN "train: {metric_for_best_model: eval_loss, greater_is_better: false}\n", NULL);
    config_release(&c);
    expect_refused(PLAIN "train:\n  greater_is_better: true\n", NULL, "of the metric 'loss', less is better",
                   "run.yaml:4: train.greater_is_better", "remove it");
    expect_refused(PLAIN "train:\n  greater_is_better: 3\n", NULL, "'3' is not true or false",
                   "run.yaml:4: train.greater_is_better", "");
}

static void expect_batch(const char *text, const char *override, int64_t size, const char *note)
{
    const char *const overrides[] = { override, NULL };
    Config c;
    load_good(&c, text, overrides);
    assert_int_equal(c.train.batch_size, size);
    expect_in(c.notes, note);
    if (!note[0])
        assert_string_equal(c.notes, "");
    config_release(&c);
}

#define BATCH(settings) "model: m\ntrain: {" settings "}\n"

static void a_step_has_the_examples_of_one_device(void **state)
{
    (void)state;
    expect_batch(BATCH("per_device_train_batch_size: 8"), NULL, 8,
                 "train.batch_size is 8, whatever the workers: per_device_train_batch_size 8 x "
                 "gradient_accumulation_steps 1");
    expect_batch(BATCH("gradient_accumulation_steps: 4, per_device_train_batch_size: 8"), NULL, 32,
                 "8 x gradient_accumulation_steps 4");
    expect_batch(BATCH("per_gpu_train_batch_size: 6"), NULL, 6, "per_gpu_train_batch_size 6");
    expect_batch(BATCH("gradient_accumulation_steps: 1"), NULL, 32, "");
    expect_batch(BATCH("batch_size: 64, gradient_accumulation_steps: 1"), NULL, 64, "");
    expect_batch(BATCH("batch_size: 16, per_device_train_batch_size: 16"), NULL, 16, "16 x");
    expect_batch(BATCH("per_device_train_batch_size: 8"), "train.batch_size=5", 5, "");
    expect_batch(BATCH("batch_size: 64"), "train.per_device_train_batch_size=8", 8, "8 x");
    expect_batch(BATCH("per_device_train_batch_size: 8"), "train.gradient_accumulation_steps=2", 16, "steps 2");
    expect_refused(BATCH("batch_size: 16, per_device_train_batch_size: 8"), NULL,
                   "train.batch_size would be 16 by one key and 8 by another",
                   "train.batch_size and run.yaml:2: train.per_device_train_batch_size", "keep one");
    expect_refused(BATCH("gradient_accumulation_steps: 4"), NULL, "the batch of a device",
                   "run.yaml:2: train.gradient_accumulation_steps", "train.batch_size alone");
    expect_refused(BATCH("batch_size: 64, gradient_accumulation_steps: 4"), NULL, "the batch of a device",
                   "train.gradient_accumulation_steps", "train.batch_size alone");
    expect_refused(BATCH("per_device_train_batch_size: 8, gradient_accumulation_steps: 1048576"), NULL, "out of range",
                   "train.per_device_train_batch_size", "train.batch_size takes");
    expect_refused(BATCH("per_device_train_batch_size: many"), NULL, "'many' is not a whole number",
                   "run.yaml:2: train.per_device_train_batch_size", "");
}

static void a_guess_is_what_a_person_would_confuse(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "lora.alhpa", "lora.lora_alpha" },
        { "lora.lora_alhpa", "lora.lora_alpha" },
        { "lora.rank", "lora.r" },
        { "lora.target_module", "lora.target_modules" },
        { "lora.target", "lora.target_modules" },
        { "lora.modules", NULL }, /* of three */
        { "train.lr", "train.learning_rate" },
        { "train.learningrate", "train.learning_rate" },
        { "learning_rate", "train.learning_rate" },
        { "train.lora_alpha", "lora.lora_alpha" },
        { "train.fp61", "train.fp16" },
        { "train.fp8", NULL },
        { "train.int8", NULL },
        { "train.epoch", "train.num_train_epochs" },
        { "train.total_limit", "train.save_total_limit" },
        { "train.per_device_batch_size", NULL },
        { "data.eval", "data.validation" },
        { "data.trian", "data.train" },
        { "data.tests", "data.test" },
        { "data.cat", NULL },
        { "per_device_train_batch_size", "train.per_device_train_batch_size" },
        { "training", "train" },
        { "lora_config", "lora" },
        { "dta", "data" },
        { "modle", "model" },
        { "x", NULL },
        { "lora.use_doar", "lora.use_dora" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *near = config_nearest(rows[i][0]);
        const char *wanted = rows[i][1];
        if (wanted ? !near || strcmp(near, wanted) != 0 : near != NULL)
            fail_msg("'%s' is taken for '%s', not '%s'", rows[i][0], near ? near : "nothing",
                     wanted ? wanted : "nothing");
    }
    assert_int_equal(text_distance("bf16", "seed"), 4);
    assert_int_equal(text_distance("trian", "train"), 1);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("abcd", "badc"), 2);
}

static void help_has_a_line_for_each_name_and_the_other_defaults(void **state)
{
    (void)state;
    Text all = { 0 }, other = { 0 };
    config_names_help(&all);
    config_differences_help(&other);
    int count;
    const PeerName *rows = config_names(&count);
    for (int i = 0; i < count; i++) {
        expect_in(all.data, rows[i].name);
        if (rows[i].note)
            expect_in(all.data, rows[i].note);
        assert_true(!config_name_differs(&rows[i]) == !strstr(other.data, rows[i].name) || rows[i].kind != NAME_KEY);
    }
    expect_in(other.data, "train.learning_rate");
    text_release(&all);
    text_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_name_keys_that_exist_and_reasons_where_defaults_differ),
        cmocka_unit_test(the_default_of_the_library_is_accepted),
        cmocka_unit_test(another_value_is_refused_with_what_to_write),
        cmocka_unit_test(listed_values_are_accepted_too),
        cmocka_unit_test(what_changes_nothing_is_told),
        cmocka_unit_test(names_stand_for_keys),
        cmocka_unit_test(two_names_of_one_key_agree),
        cmocka_unit_test(a_step_has_the_examples_of_one_device),
        cmocka_unit_test(a_guess_is_what_a_person_would_confuse),
        cmocka_unit_test(help_has_a_line_for_each_name_and_the_other_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
