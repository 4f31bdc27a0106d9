/* The run file and --key=value: values, types, ranges, places, paths. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/common/config/load.h"

#include <stdlib.h>
#include <unistd.h>

static void defaults_are_those_of_the_interface(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: bert-base-uncased\n", NULL);
    assert_string_equal(c.model, "bert-base-uncased");
    assert_int_equal(json_object_size(c.model_config), 0);
    assert_int_equal(c.task, TASK_SEQ_CLS);
    assert_int_equal(c.problem_type, PROBLEM_AUTO);
    assert_int_equal(c.label_count, 0);
    assert_string_equal(c.data.text, "text");
    assert_null(c.data.text_pair);
    assert_string_equal(c.data.label, "label");
    assert_int_equal(c.data.max_length, 512);
    assert_true(c.data.shuffle);
    assert_int_equal(c.data.limit, -1);
    assert_false(c.data.skip_bad_rows);
    assert_int_equal(c.lora.r, 8);
    assert_true(c.lora.alpha == 16 && c.lora.dropout == 0);
    assert_int_equal(c.lora.target_modules.count, 0);
    assert_null(c.lora.target_regex);
    assert_null(c.lora.layers_to_transform);
    assert_int_equal(c.lora.bias, BIAS_NONE);
    assert_int_equal(c.lora.init, INIT_TRUE);
    assert_int_equal(c.train.batch_size, 32);
    assert_true(c.train.num_train_epochs == 3);
    assert_int_equal(c.train.max_steps, -1);
    assert_true(c.train.learning_rate == 1e-4 && c.train.adam_epsilon == 1e-8);
    assert_true(c.train.adam_beta1 == 0.9 && c.train.adam_beta2 == 0.999);
    assert_true(c.train.max_grad_norm == 1.0);
    assert_int_equal(c.train.schedule, RATE_LINEAR);
    assert_int_equal(c.train.seed, 42);
    assert_int_equal(c.train.logging_steps, 10);
    assert_int_equal(c.train.save_strategy, WHEN_EPOCH);
    assert_int_equal(c.train.save_steps, 500);
    assert_int_equal(c.train.save_total_limit, -1);
    assert_int_equal(c.train.early_stopping_patience, -1);
    assert_string_equal(c.train.metric_for_best_model, "loss");
    assert_null(c.ps.address);
    assert_true(c.ps.heartbeat == 1 && c.ps.lease_timeout == 5 && c.ps.patience == 60);
    assert_int_equal(c.ps.durable_every, 1);
    assert_int_equal(c.parallel.threads, -1);
    assert_int_equal(c.parallel.micro_batches, -1);
    assert_int_equal(c.parallel.micro_batch_tokens, 4096);
    config_release(&c);
    config_release(&c); /* safe twice */
}

static void numbers_are_read_in_every_notation_of_yaml(void **state)
{
    (void)state;
    Config c;
    load_good(&c,
              "model: m\n"
              "lora: {lora_dropout: .1, r: 16, lora_alpha: 3.2e1}\n"
              "train: {learning_rate: 1e-4, num_train_epochs: 2.5, max_steps: 1e3,\n"
              "        seed: 9223372036854775807, adam_epsilon: 1.0e-08}\n",
              NULL);
    assert_true(c.lora.dropout == 0.1 && c.lora.alpha == 32);
    assert_int_equal(c.lora.r, 16);
    assert_true(c.train.learning_rate == 1e-4 && c.train.num_train_epochs == 2.5);
    assert_int_equal(c.train.max_steps, 1000);
    assert_true(c.train.seed == INT64_MAX);
    assert_true(c.train.adam_epsilon == 1e-8);
    config_release(&c);
}

static void no_means_no_with_and_without_quotes(void **state)
{
    (void)state;
    static const char *const texts[] = { "no", "'no'", "\"no\"", "No" };
    for (size_t i = 0; i < 4; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "model: m\ndata: {validation: d.tsv, shuffle: %s}\n"
                 "train: {eval_strategy: %s, save_strategy: %s}\n",
                 texts[i], texts[i], texts[i]);
        Config c;
        load_good(&c, text, NULL);
        assert_int_equal(c.train.eval_strategy, WHEN_NO);
        assert_int_equal(c.train.save_strategy, WHEN_NO);
        assert_false(c.data.shuffle);
        config_release(&c);
    }
}

static void nothing_tilde_and_null_are_null(void **state)
{
    (void)state;
    Config c;
    load_good(&c,
              "model: m\nlabels:\nps:\nmodel_config: ~\nproblem_type: null\n"
              "data:\n  limit:\n  text_pair: ~\n"
              "lora:\n  target_modules: Null\n  rank_pattern:\n  layers_to_transform: ~\n",
              NULL);
    assert_int_equal(c.data.limit, -1);
    assert_null(c.data.text_pair);
    assert_null(c.lora.layers_to_transform);
    assert_int_equal(c.lora.rank_pattern.count, 0);
    config_release(&c);
    load_good(&c, "model: m\ndata: {text_pair: 'null'}\n", NULL);
    assert_string_equal(c.data.text_pair, "null");
    config_release(&c);
    expect_refused("model: m\nlora:\n  r:\n", NULL, "nothing (null) is not a whole number", "run.yaml:3: lora.r",
                   "1 to 4096");
}

static void labels_are_names_or_a_count(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\nlabels: 3\n", NULL);
    assert_int_equal(c.label_count, 3);
    assert_int_equal(c.labels.count, 0);
    config_release(&c);
    load_good(&c, "model: m\nlabels: [0, 1.50, no, true, 'a, b']\n", NULL);
    static const char *const names[] = { "0", "1.50", "no", "true", "a, b" };
    assert_int_equal(c.label_count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(c.labels.items[i], names[i]);
    config_release(&c);
    load_good(&c, "model: m\nlabels: 3\n", OVERRIDES("labels=neg,pos"));
    assert_int_equal(c.label_count, 2);
    assert_string_equal(c.labels.items[1], "pos");
    config_release(&c);
    expect_refused("model: m\nlabels: [a, b, a]\n", NULL, "label 'a' is in the list twice", "run.yaml:2: labels", "");
    expect_refused("model: m\nlabels: [a, ~]\n", NULL, "item 2 of the list is null", "run.yaml:2: labels", "");
    expect_refused("model: m\nlabels: two\n", NULL, "'two' is not a whole number", ":2: labels",
                   "a list of names, or their count");
}

static void target_modules_are_a_list_an_expression_or_all_linear(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\nlora:\n  target_modules: [query, intermediate.dense]\n", NULL);
    assert_int_equal(c.lora.target_modules.count, 2);
    assert_string_equal(c.lora.target_modules.items[1], "intermediate.dense");
    config_release(&c);
    load_good(&c, "model: m\nlora: {target_modules: query}\n", NULL); /* as PEFT: an expression */
    assert_string_equal(c.lora.target_regex, "query");
    assert_int_equal(c.lora.target_modules.count, 0);
    config_release(&c);
    load_good(&c, "model: m\nlora: {target_modules: query}\n", OVERRIDES("lora.target_modules=All-Linear"));
    assert_true(c.lora.all_linear);
    assert_null(c.lora.target_regex);
    config_release(&c);
    load_good(&c, "model: m\n", OVERRIDES("lora.target_modules=query, value"));
    assert_int_equal(c.lora.target_modules.count, 2);
    assert_string_equal(c.lora.target_modules.items[1], "value");
    config_release(&c);
    load_good(&c, "model: m\n", OVERRIDES("lora.target_modules=output.dense"));
    assert_int_equal(c.lora.target_modules.count, 1);
    config_release(&c);
    load_good(&c, "model: m\n", OVERRIDES("lora.target_modules=[a.{1,3}]q", "lora.exclude_modules=.*[01].*"));
    assert_string_equal(c.lora.target_regex, "[a.{1,3}]q");
    assert_string_equal(c.lora.exclude_regex, ".*[01].*");
    config_release(&c);
    expect_refused("model: m\nlora: {target_modules: []}\n", NULL, "empty list", "lora.target", "");
}

static void patterns_are_maps_of_numbers_in_order(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\nlora:\n  rank_pattern: {value: 2, '^a.*b$': 4}\n",
              OVERRIDES("lora.alpha_pattern={intermediate.dense: 2.5}", "lora.layers_to_transform=0,2"));
    assert_int_equal(c.lora.rank_pattern.count, 2);
    assert_string_equal(c.lora.rank_pattern.keys[1], "^a.*b$");
    assert_true(c.lora.rank_pattern.values[0] == 2 && c.lora.rank_pattern.values[1] == 4);
    assert_true(c.lora.alpha_pattern.values[0] == 2.5);
    assert_int_equal(c.lora.layers_count, 2);
    assert_int_equal(c.lora.layers_to_transform[1], 2);
    config_release(&c);
    expect_refused("model: m\nlora: {rank_pattern: {q: 1.5}}\n", NULL, "'1.5' is not a whole", "lora.rank_pattern: q",
                   "whole numbers from 1");
    expect_refused("model: m\nlora: {rank_pattern: [q]}\n", NULL, "a list is not a map", "lora.rank_pattern", "");
    expect_refused("model: m\nlora: {layers_to_transform: [1, 1]}\n", NULL, "layer 1 is in", "lora.layers_to_transform",
                   "");
}

static void paths_may_begin_with_a_tilde(void **state)
{
    (void)state;
    Config c;
    setenv("HOME", "/home/me", 1);
    load_good(&c, "model: ~/m\ndata: {train: [~/a.csv, ./~/b.csv]}\ntrain: {output_dir: ~/runs}\n",
              OVERRIDES("data.test=~/t.csv"));
    assert_string_equal(c.model, "/home/me/m");
    assert_string_equal(c.data.train.items[0], "/home/me/a.csv");
    assert_null(strstr(c.data.train.items[1], "/home/me/b.csv"));
    assert_string_equal(c.data.test.items[0], "/home/me/t.csv");
    assert_string_equal(c.train.output_dir, "/home/me/runs");
    config_release(&c);
}

static void model_config_takes_anything_with_its_type(void **state)
{
    (void)state;
    Config c;
    load_good(&c,
              "model: m\nmodel_config: {p: 0.0, n: 12, on: true, none: ~, s: '1', w: yes,\n"
              "  o: 0o17, x: 0x1F, l: [1, a], d: {e: 1e3}}\n",
              OVERRIDES("model_config.hidden_dropout_prob=0.5"));
    const json_t *o = c.model_config;
    assert_true(json_is_real(json_object_get(o, "p")));
    assert_int_equal(json_integer_value(json_object_get(o, "n")), 12);
    assert_true(json_is_true(json_object_get(o, "on")));
    assert_true(json_is_null(json_object_get(o, "none")));
    assert_string_equal(json_string_value(json_object_get(o, "s")), "1");
    assert_string_equal(json_string_value(json_object_get(o, "w")), "yes"); /* YAML 1.2 */
    assert_int_equal(json_integer_value(json_object_get(o, "o")), 15);
    assert_int_equal(json_integer_value(json_object_get(o, "x")), 31);
    assert_int_equal(json_array_size(json_object_get(o, "l")), 2);
    assert_true(json_real_value(json_object_get(json_object_get(o, "d"), "e")) == 1000);
    assert_true(json_real_value(json_object_get(o, "hidden_dropout_prob")) == 0.5);
    config_release(&c);
    expect_refused("model: m\nmodel_config: {a: {b: .inf}}\n", NULL, "'.inf' is out of range",
                   "run.yaml:2: model_config: a: b", "");
    expect_refused("model: m\nmodel_config: 3\n", NULL, "'3' is not a map", "model_config", "");
}

static void a_wrong_type_says_what_is_allowed(void **state)
{
    (void)state;
    expect_refused("model: m\nlora:\n  r: eight\n", NULL, "'eight' is not a whole number", "run.yaml:3: lora.r",
                   "a whole number from 1 to 4096");
    expect_refused("model: m\nlora: {r: 8.5}\n", NULL, "'8.5' is not a whole", "lora.r", "");
    expect_refused("model: m\nlora: {r: [8]}\n", NULL, "a list is not a whole", "lora.r", "");
    expect_refused("model: m\nlora: {r: 0x10}\n", NULL, "'0x10' is not", "lora.r", "");
    expect_refused("model: m\ndata: {shuffle: maybe}\n", NULL, "'maybe' is not true or false", "data.shuffle", "");
    expect_refused("model: m\ntrain: {learning_rate: .nan}\n", NULL, "'.nan' is not a number", "train.learning_rate",
                   "");
    expect_refused("model: m\ndata: {text: [a]}\n", NULL, "a list is not a text", "data.text", "");
    expect_refused("model: m\ndata: {text: ''}\n", NULL, "an empty text", "data.text", "");
    expect_refused("model: [a]\n", NULL, "a list is not a path", "run.yaml:1: model", "");
    expect_refused("model: m\n", OVERRIDES("lora.r=16x"), "'16x'", "--lora.r", "1 to 4096");
    expect_refused("model: m\n", OVERRIDES("lora.r="), "null", "--lora.r", "1 to 4096");
    expect_refused("model: m\nlora: 8\n", NULL, "'lora' is '8', not a map", "run.yaml:2", "");
    expect_refused("- model\n", NULL, "the run file is a list", "run.yaml:1", "key: value");
}

static void a_value_out_of_range_is_refused_before_any_cast(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "lora.r=0",
        "lora.r=1e300",
        "lora.r=-1",
        "lora.r=99999999999999999999",
        "lora.lora_dropout=1",
        "lora.lora_dropout=-0.1",
        "lora.lora_alpha=0",
        "train.batch_size=0",
        "train.learning_rate=-1",
        "train.adam_beta1=1",
        "train.seed=-1",
        "train.seed=9223372036854775808",
        "train.num_train_epochs=0",
        "train.max_steps=-2",
        "data.limit=-1",
        "data.max_length=0",
        "data.validation_split=1",
        "data.validation_split=0",
        "train.warmup_ratio=1.1",
        "ps.heartbeat=0",
        "parallel.micro_batches=0",
        "labels=0",
        "lora.layers_to_transform=-1",
        "train.logging_steps=0",
        "train.learning_rate=1e999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char where[64];
        snprintf(where, sizeof where, "--%.*s", (int)strcspn(bad[i], "="), bad[i]);
        expect_refused("model: m\n", OVERRIDES(bad[i]), "is out of range", where, "takes");
    }
}

static void an_enum_lists_its_values_and_the_nearest(void **state)
{
    (void)state;
    expect_refused("model: m\ntrain:\n  lr_scheduler_type: cosin\n", NULL, "'cosin'",
                   "run.yaml:3: train.lr_scheduler_type", "did you mean 'cosine'?");
    expect_refused("model: m\ntrain:\n  lr_scheduler_type: zigzag\n", NULL, "'zigzag'", ":3: train",
                   "takes linear, cosine, constant, constant_with_warmup");
}

static void an_unknown_key_names_the_nearest(void **state)
{
    (void)state;
    expect_refused("model: m\nlora:\n  lora_alhpa: 3\n", NULL, "unknown key 'lora.lora_alhpa'", "run.yaml:3",
                   "did you mean 'lora.lora_alpha'?");
    expect_refused("model: m\nlearning_rate: 3\n", NULL, "unknown key 'learning_rate'", "run.yaml:2",
                   "'train.learning_rate'");
    expect_refused("model: m\ntrain: {lr: 3}\n", NULL, "unknown key 'train.lr'", "run.yaml:2", "'train.learning_rate'");
    expect_refused("modle: m\n", NULL, "unknown key 'modle'", "run.yaml:1", "'model'");
    expect_refused("model: m\nlora.r: 4\n", NULL, "unknown key 'lora.r'", "run.yaml:2", "under their section: 'lora:'");
    expect_refused("model: m\nzzzzzzzzzzzzz: 4\n", NULL, "unknown key", "run.yaml:2", "--help");
    expect_refused("model: m\n", OVERRIDES("lora.rank=4"), "unknown key 'lora.rank'", "--lora.rank", "'lora.r'");
    expect_refused("model: m\n", OVERRIDES("lora.r"), "'--lora.r' has no value", "", "--lora.r=VALUE");
}

static void what_comes_later_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const later[][2] = {
        { "ps.mode", "allreduce" },
        { "parallel.tensor", "2" },
    };
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        char override[100], where[64];
        snprintf(override, sizeof override, "%s=%s", later[i][0], later[i][1]);
        snprintf(where, sizeof where, "--%s", later[i][0]);
        expect_refused("model: m\n", OVERRIDES(override), "is not supported", where, "");
        expect_refused("model: m\n", OVERRIDES(override), later[i][0], where, "");
    }
    expect_refused("model: m\nps:\n  mode: allreduce\n", NULL, "ps.mode: allreduce is not supported",
                   "run.yaml:3: ps.mode", "sync");
    expect_refused("model: m\nps: {wire_dtype: int8}\n", NULL, "bits depend on who computes",
                   "run.yaml:2: ps.wire_dtype and ps.mode", "set ps.mode: ssp or async");
}

static void what_comes_later_may_be_given_as_it_is_now(void **state)
{
    (void)state;
    Config c;
    load_good(&c,
              "model: m\n"
              "train: {precision: fp32, gradient_checkpointing: False}\n"
              "ps: {mode: sync, staleness: 2, wire_dtype: fp32, keys: ~, http: null}\n"
              "parallel: {data: auto, pipeline: auto, tensor: auto, micro_batches: auto}\n",
              NULL);
    config_release(&c);
    expect_refused("model: m\ntrain: {precision: nf4}\nlora: {use_dora: true}\n", NULL, "before they are rounded",
                   "train.precision", "train.precision: fp32");
    expect_refused("model: m\ntrain: {precision: bf16}\nlora: {init_lora_weights: pissa}\n", NULL, "a part of the base",
                   "lora.init_lora_weights", "train.precision: fp32");
    expect_refused("model: m\ntrain: {precision: bf16, mode: full}\n", NULL, "every weight is trained", "train.mode",
                   "train.precision: fp32");
    expect_refused("model: m\ntrain: {precision: fp64}\n", NULL, "'fp64' is not one of", "precision", "fp32");
}

static void overrides_win_over_the_file_and_the_last_over_the_first(void **state)
{
    (void)state;
    Config c;
    char room[64];
    load_good(&c, "model: m\nlora:\n  r: 4\n  lora_alpha: 4\n", OVERRIDES("lora.r=16", "lora.r=32", "data.text=a=b"));
    assert_int_equal(c.lora.r, 32);
    assert_string_equal(c.data.text, "a=b");
    assert_string_equal(config_where(&c, "lora.r", room, sizeof room), "--lora.r");
    assert_string_equal(config_where(&c, "lora.lora_alpha", room, sizeof room), "run.yaml:4: lora.lora_alpha");
    assert_string_equal(config_where(&c, "lora.bias", room, sizeof room), "lora.bias (default)");
    config_release(&c);
}

/* A folder with a run file and a model; removed by the teardown. */
static int make_folder(void **state)
{
    char *folder = xstrdup("/tmp/config_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    Err err = { 0 };
    assert_true(folder_remove(*state, &err));
    free(*state);
    return 0;
}

static void write_run(const char *folder, const char *text, char *path, size_t size)
{
    Err err = { 0 };
    snprintf(path, size, "%s/run.yaml", folder);
    assert_true(file_write(path, text, strlen(text), &err));
}

static void expect_path(const char *path, const char *folder, const char *rest)
{
    char expected[300];
    snprintf(expected, sizeof expected, "%s/%s", folder, rest);
    assert_string_equal(path, expected);
}

static void paths_are_relative_to_the_run_file_or_the_working_directory(void **state)
{
    const char *folder = *state;
    char path[200], here[200];
    Err err = { 0 };
    assert_non_null(getcwd(here, sizeof here));
    snprintf(path, sizeof path, "%s/bert", folder);
    assert_true(folder_make(path, &err));
    write_run(folder,
              "model: bert\n"
              "data: {train: [a.tsv, sub//./b.tsv/, /abs/c.tsv], validation: ../d.tsv}\n"
              "lora: {init_adapter: ./adapter}\ntrain: {output_dir: out}\n",
              path, sizeof path);
    const ConfigSources sources = { .file = path,
                                    .overrides = (const char *const[]){ "data.test=t.tsv" },
                                    .override_count = 1 };
    Config c;
    assert_true(config_load(&c, &sources, &err));
    expect_path(c.model, folder, "bert");
    expect_path(c.data.train.items[0], folder, "a.tsv");
    expect_path(c.data.train.items[1], folder, "sub/b.tsv");
    assert_string_equal(c.data.train.items[2], "/abs/c.tsv");
    char *parent = path_folder(folder);
    expect_path(c.data.validation.items[0], parent, "d.tsv");
    free(parent);
    expect_path(c.data.test.items[0], here, "t.tsv");
    expect_path(c.lora.init_adapter, folder, "adapter");
    expect_path(c.train.output_dir, folder, "out");
    assert_string_equal(c.source, path);
    config_release(&c);
}

static void a_model_is_a_folder_if_it_is_there_and_a_hub_name_otherwise(void **state)
{
    const char *folder = *state;
    static const char *const hub[] = { "gpt2", "google-bert/bert-base-uncased" };
    char path[200], text[300];
    Err err = { 0 };
    Config c;
    for (size_t i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "model: %s\n", hub[i]);
        write_run(folder, text, path, sizeof path);
        assert_true(config_load(&c, &(ConfigSources){ .file = path }, &err));
        assert_string_equal(c.model, hub[i]);
        config_release(&c);
    }
    write_run(folder, "model: ./gpt2\n", path, sizeof path);
    assert_true(config_load(&c, &(ConfigSources){ .file = path }, &err));
    expect_path(c.model, folder, "gpt2");
    config_release(&c);
    write_run(folder, "model: no/such/folder\n", path, sizeof path);
    assert_false(config_load(&c, &(ConfigSources){ .file = path }, &err));
    expect_in(err.what, "neither a folder nor a hub name");
}

static void a_missing_run_file_or_model_is_the_users_to_mend(void **state)
{
    Config c;
    Err err = { 0 };
    assert_false(config_load(&c, &(ConfigSources){ .file = "/no/such/run.yaml" }, &err));
    assert_int_equal(err_exit_code(&err), 2);
    expect_in(err.where, "/no/such/run.yaml");
    err = (Err){ 0 };
    assert_false(config_load(&c, &(ConfigSources){ .file = *state }, &err)); /* a folder */
    assert_int_equal(err_exit_code(&err), 2);
    err = (Err){ 0 };
    assert_false(config_load(&c, &(ConfigSources){ 0 }, &err));
    expect_in(err.what, "no model is named");
    expect_in(err.hint, "--model=");
    assert_int_equal(err_exit_code(&err), 2);
    expect_refused("", NULL, "no model is named", "run.yaml", "model:");
    expect_refused("# nothing but words\n", NULL, "no model is named", "run.yaml", "");
    const char *const model[] = { "model=gpt2" };
    assert_true(config_load(&c, &(ConfigSources){ .overrides = model, .override_count = 1 }, &err));
    config_release(&c);
}

static void the_golden_run_files_load(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    const ConfigSources multi = { .file = "tests/golden/bert-multilabel/run.yaml" };
    if (!config_load(&c, &multi, &err))
        fail_msg("%s | %s", err.what, err.where);
    assert_int_equal(c.problem_type, PROBLEM_MULTI_LABEL);
    assert_int_equal(c.labels.count, 4);
    assert_int_equal(c.lora.layers_count, 2);
    assert_true(c.lora.rank_pattern.values[0] == 2);
    assert_int_equal(c.train.save_strategy, WHEN_NO);
    assert_int_equal(c.train.eval_strategy, WHEN_EPOCH);
    assert_true(text_ends(c.model, "tests/golden/bert-multilabel/model"));
    assert_true(config_check_training(&c, &err));
    config_release(&c);
}

/* A fingerprint may look like a number, which a run file puts in quotes; labels may hold anything. */
static void what_a_run_fixed_is_taken_over_as_it_is(void **state)
{
    (void)state;
    static const char text[] =
        "model: a\nlabels: [\"so \\\"good\\\"\", 'C:\\new', '1']\nproblem_type: multi_label_classification\n"
        "parallel: {fingerprint: \"7324386e23ec86f0\", micro_batches: 4}\n";
    Err err = { 0 };
    Config begun, config, labels;
    assert_true(config_load(&begun, &(ConfigSources){ .text = text }, &err));
    assert_true(config_load(&config, &(ConfigSources){ .text = "model: a\n" }, &err));
    assert_true(config_load(&labels, &(ConfigSources){ .text = "model: a\n" }, &err));
    Text keys = { 0 };
    assert_true(config_same_run(&config, &begun, true, &keys));
    assert_true(config_take_begun(&config, &begun, &err));
    assert_true(config_take_labels(&labels, &begun, &err));
    assert_string_equal(config.parallel.fingerprint, "7324386e23ec86f0");
    assert_int_equal(config.parallel.micro_batches, 4);
    assert_int_equal(labels.parallel.micro_batches, -1);
    const Config *const both[] = { &config, &labels };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(both[i]->labels.count, 3);
        assert_string_equal(both[i]->labels.items[0], "so \"good\"");
        assert_string_equal(both[i]->labels.items[1], "C:\\new");
        assert_int_equal(both[i]->problem_type, PROBLEM_MULTI_LABEL);
    }
    text_release(&keys);
    config_release(&begun);
    config_release(&config);
    config_release(&labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_interface),
        cmocka_unit_test(numbers_are_read_in_every_notation_of_yaml),
        cmocka_unit_test(no_means_no_with_and_without_quotes),
        cmocka_unit_test(nothing_tilde_and_null_are_null),
        cmocka_unit_test(labels_are_names_or_a_count),
        cmocka_unit_test(target_modules_are_a_list_an_expression_or_all_linear),
        cmocka_unit_test(patterns_are_maps_of_numbers_in_order),
        cmocka_unit_test(paths_may_begin_with_a_tilde),
        cmocka_unit_test(model_config_takes_anything_with_its_type),
        cmocka_unit_test(a_wrong_type_says_what_is_allowed),
        cmocka_unit_test(a_value_out_of_range_is_refused_before_any_cast),
        cmocka_unit_test(an_enum_lists_its_values_and_the_nearest),
        cmocka_unit_test(an_unknown_key_names_the_nearest),
        cmocka_unit_test(what_comes_later_is_refused_by_name),
        cmocka_unit_test(what_comes_later_may_be_given_as_it_is_now),
        cmocka_unit_test(overrides_win_over_the_file_and_the_last_over_the_first),
        cmocka_unit_test_setup_teardown(paths_are_relative_to_the_run_file_or_the_working_directory, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_model_is_a_folder_if_it_is_there_and_a_hub_name_otherwise, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_missing_run_file_or_model_is_the_users_to_mend, make_folder, remove_folder),
        cmocka_unit_test(what_a_run_fixed_is_taken_over_as_it_is),
        cmocka_unit_test(the_golden_run_files_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
