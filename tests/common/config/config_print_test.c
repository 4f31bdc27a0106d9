/* The effective run file reads back to the same values; what makes two runs
 * differ; setting a key of a loaded configuration; the help. */
#include "common/base/mem.h"
#include "common/config/config_table.h"
#include "tests/common/config/load.h"

static void expect_round_trip(const char *text)
{
    Config c, again;
    Text first = { 0 }, second = { 0 }, differing = { 0 };
    load_good(&c, text, NULL);
    config_print(&c, &first);
    load_good(&again, first.data, NULL);
    config_print(&again, &second);
    assert_string_equal(first.data, second.data);
    assert_true(config_same_run(&c, &again, COMPARE_FOLDER, &differing));
    assert_true(json_equal(c.model_config, again.model_config));
    assert_int_equal(c.labels.count, again.labels.count);
    for (int i = 0; i < c.labels.count; i++)
        assert_string_equal(c.labels.items[i], again.labels.items[i]);
    text_release(&first);
    text_release(&second);
    text_release(&differing);
    config_release(&c);
    config_release(&again);
}

static void what_is_printed_reads_back_the_same(void **state)
{
    (void)state;
    expect_round_trip("model: gpt2\n");
    expect_round_trip("model: './a folder: with #signs'\n"
                      "model_config: {a: 1.0, b: 1, c: '1', d: [null, true, x], 'e f': {g: 1e-7}, n: ''}\n"
                      "labels: [no, 'null', '1', 'a, b', \"quo\\\"te\\\\\", \"\\t\\x85\\u2028\\ufeff\\uffff\",\n"
                      "  Stra\xC3\x9F\x65, \"\\U0001F600\", ' x ', '- y', '#z', 'k: v', '~']\n"
                      "problem_type: multi_label_classification\n"
                      "data: {train: [a.tsv, '/x y/b,c.tsv'], validation: v.tsv, text_pair: 'null', limit: 5,\n"
                      "  max_length: 32, shuffle: false, skip_bad_rows: yes}\n"
                      "lora: {r: 3, lora_alpha: 0.30000000000000004, lora_dropout: 0.1, bias: lora_only,\n"
                      "  target_modules: [a.b, 'c d'], exclude_modules: '.*\\.[01]\\..*', init_adapter: x,\n"
                      "  modules_to_save: classifier, layers_to_transform: [0, 3], rank_pattern: {'^a:': 2},\n"
                      "  alpha_pattern: {b: 2.5}}\n"
                      "train: {seed: 9223372036854775807, eval_strategy: steps, save_strategy: no,\n"
                      "  learning_rate: 1.0000000000000002e-5, adam_epsilon: 1e-8, num_train_epochs: 0.1,\n"
                      "  lr_scheduler_type: cosine, warmup_ratio: 0.06, output_dir: o, save_total_limit: 2,\n"
                      "  early_stopping_patience: 3, metric_for_best_model: f1, max_grad_norm: 0}\n"
                      "ps: {address: 'tcp://*:7700', insecure: true, patience: 3.5}\n"
                      "parallel: {threads: 2, micro_batches: 8}\n");
    expect_round_trip("model: m\nlabels: 3\nlora: {target_modules: all-linear, init_lora_weights: gaussian}\n"
                      "data: {validation_split: 0.1}\n");
    expect_round_trip("model: m\nlora: {init_lora_weights: pissa_niter_16}\n");
    expect_round_trip("model: m\nlora: {init_lora_weights: PiSSA_niter_0}\n");
    expect_round_trip("model: m\nlora: {init_lora_weights: false}\n");
    expect_round_trip("model: m\nlora: {target_modules: '(?:a|b){1,2}\\d \"x\"'}\n");
}

static void every_supported_key_is_printed(void **state)
{
    (void)state;
    Config c;
    Text out = { 0 };
    load_good(&c, "model: m\n", NULL);
    config_print(&c, &out);
    int count;
    const ConfigKey *keys = config_keys(&count);
    for (int i = 0; i < count; i++) {
        const char *dot = strchr(keys[i].name, '.');
        char line[80];
        snprintf(line, sizeof line, "%s%s: ", dot ? "\n  " : "", dot ? dot + 1 : keys[i].name);
        expect_in(out.data, line);
    }
    expect_in(out.data, "\n  learning_rate: 0.0001\n");
    expect_in(out.data, "\n  patience: 60.0\n");
    expect_in(out.data, "\n  adam_epsilon: 1.0e-08\n"); /* a number to YAML 1.1 too */
    expect_in(out.data, "\n  eval_strategy: \"no\"\n");
    text_release(&out);
    config_release(&c);
}

static void paths_are_printed_absolute(void **state)
{
    (void)state;
    Config c;
    Text out = { 0 };
    load_good(&c, "model: ./m\ndata: {train: a.tsv}\n", NULL);
    config_print(&c, &out);
    expect_in(out.data, "model: /");
    expect_in(out.data, "train: [/");
    text_release(&out);
    config_release(&c);
}

static void expect_same(const char *const *one, const char *const *other, bool same, const char *names)
{
    Config a, b;
    Text out = { 0 };
    load_good(&a, "model: m\n", one);
    load_good(&b, "model: m\n", other);
    assert_int_equal(config_same_run(&a, &b, COMPARE_FOLDER, &out), same);
    assert_string_equal(out.data ? out.data : "", names);
    text_release(&out);
    config_release(&a);
    config_release(&b);
}

static void two_runs_differ_in_what_changes_the_adapter(void **state)
{
    (void)state;
    expect_same(OVERRIDES("lora.r=8"), OVERRIDES("lora.r=8.0"), true, "");
    expect_same(OVERRIDES("lora.r=16", "train.seed=1"), OVERRIDES("lora.bias=all"), false,
                "lora.r (16 here, 8 there); lora.bias (none here, all there); train.seed (1 here, 42 there)");
    expect_same(OVERRIDES("model_config.p=0.0"), OVERRIDES("model_config.p=0"), false,
                "model_config ({p: 0.0} here, {p: 0} there)");
    expect_same(OVERRIDES("train.output_dir=a", "ps.address=tcp://127.0.0.1:1", "ps.heartbeat=2",
                          "train.logging_steps=3", "parallel.threads=2", "ps.patience=5"),
                NULL, true, "");
}

static void differ(Text *out, ConfigCompare by, const char *const *here, const char *const *there, bool same)
{
    Config a, b;
    Text folder = { 0 };
    text_clear(out);
    load_good(&a, "model: m\ndata: {validation: v.tsv}\n", here);
    load_good(&b, "model: m\ndata: {validation: v.tsv}\n", there);
    assert_int_equal(config_same_run(&a, &b, by, out), same);
    assert_int_equal(config_digest(&a, false) == config_digest(&b, false),
                     config_same_run(&a, &b, COMPARE_FOLDER, &folder));
    text_release(&folder);
    config_release(&a);
    config_release(&b);
}

static void what_may_be_changed_makes_no_other_run(void **state)
{
    (void)state;
    Text out = { 0 };
    static const char *const free[] = { "train.logging_steps=3",
                                        "train.eval_strategy=no",
                                        "train.eval_steps=7",
                                        "train.save_strategy=steps",
                                        "train.save_steps=3",
                                        "train.save_total_limit=2",
                                        "train.load_best_model_at_end=true",
                                        "train.metric_for_best_model=f1",
                                        "train.early_stopping_patience=2" };
    for (size_t i = 0; i < sizeof free / sizeof *free; i++) {
        differ(&out, COMPARE_FOLDER, OVERRIDES(free[i]), NULL, true);
        differ(&out, COMPARE_WORKER, OVERRIDES(free[i]), NULL, true);
        differ(&out, COMPARE_GOING, OVERRIDES(free[i]), NULL, false);
    }
    differ(&out, COMPARE_FOLDER, OVERRIDES("train.num_train_epochs=4", "train.max_steps=9"), NULL, true);
    differ(&out, COMPARE_WORKER, OVERRIDES("train.num_train_epochs=4", "train.max_steps=9"), NULL, false);
    assert_string_equal(out.data, "train.num_train_epochs (4.0 here, 3.0 there); train.max_steps (9 here, -1 there)");
    differ(&out, COMPARE_GOING, OVERRIDES("train.max_steps=9", "train.seed=3"), NULL, false);
    assert_string_equal(out.data, "train.max_steps (-1 before, now 9)");
    text_release(&out);
}

#define PROMPTS "task_type=CAUSAL_LM", "data.prompt=p", "data.completion=c"

/* Workers that generate otherwise would measure otherwise. */
static void what_is_generated_may_be_changed_for_all_workers(void **state)
{
    (void)state;
    static const char *const keys[] = { "generate", "max_new_tokens", "do_sample",          "temperature",
                                        "top_k",    "top_p",          "repetition_penalty", "stop_strings" };
    const char *const *here =
        OVERRIDES(PROMPTS, "data.generate=true", "data.max_new_tokens=9", "data.do_sample=true", "data.temperature=0.5",
                  "data.top_k=3", "data.top_p=0.5", "data.repetition_penalty=1.5", "data.stop_strings=x");
    const char *const *there = OVERRIDES(PROMPTS);
    Text going = { 0 }, worker = { 0 };
    differ(&going, COMPARE_FOLDER, here, there, true);
    differ(&going, COMPARE_GOING, here, there, false);
    differ(&worker, COMPARE_WORKER, here, there, false);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char *name = xprintf("data.%s (", keys[i]);
        assert_non_null(strstr(going.data, name));
        assert_non_null(strstr(worker.data, name));
        free(name);
    }
    text_release(&going);
    text_release(&worker);
}

static void long_values_are_cut_where_they_part(void **state)
{
    (void)state;
    Text out = { 0 };
    differ(
        &out, COMPARE_FOLDER,
        OVERRIDES(
            "lora.target_modules=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,b,c,d,e"),
        OVERRIDES(
            "lora.target_modules=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,x,c,d,e"),
        false);
    assert_string_equal(
        out.data,
        "lora.target_modules (...aaaaaaaaaaaaaaaaaa, b, c, d, e] here, ...aaaaaaaaaaaaaaaaaa, x, c, d, e] there)");
    text_release(&out);
}

static void automatic_micro_batches_are_the_same_run_as_the_number_they_became(void **state)
{
    (void)state;
    expect_same(OVERRIDES("parallel.micro_batches=8"), NULL, true, "");
    expect_same(OVERRIDES("parallel.micro_batches=8"), OVERRIDES("parallel.micro_batches=4"), false,
                "parallel.micro_batches (8 here, 4 there)");
    expect_same(OVERRIDES("parallel.micro_batch_tokens=8"), NULL, false,
                "parallel.micro_batch_tokens (8 here, 4096 there)");
    expect_same(OVERRIDES("parallel.micro_batch_tokens=8", "parallel.micro_batches=8"), NULL, true, "");
}

/* A fingerprint may look like a number, as YAML writes them: then it stands in quotes, which are not a part of it. */
static void what_a_run_has_fixed_is_taken_as_it_is(void **state)
{
    (void)state;
    static const char *const prints[] = { "7324386e23ec86f0", "1234567890123456", "12345678901234e5",
                                          "ab1461fc5e2b4bcb" };
    for (size_t i = 0; i < sizeof prints / sizeof *prints; i++) {
        Config begun, mine;
        Err err = { 0 };
        load_good(&begun, "model: m\n", NULL);
        load_good(&mine, "model: m\n", NULL);
        assert_true(config_set(&begun, "parallel.fingerprint", prints[i], &err));
        assert_true(config_set(&begun, "parallel.arithmetic", "x86-64-v3/Zen", &err));
        assert_true(config_set(&begun, "parallel.micro_batches", "8", &err));
        assert_true(config_take_begun(&mine, &begun, &err));
        assert_string_equal(mine.parallel.fingerprint, prints[i]);
        assert_string_equal(mine.parallel.arithmetic, "x86-64-v3/Zen");
        assert_int_equal(mine.parallel.micro_batches, 8);
        config_release(&begun);
        config_release(&mine);
    }
}

static void a_key_can_be_set_later_and_keeps_the_others_places(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    char room[64];
    load_good(&c, "model: m\nlora:\n  r: 4\n", OVERRIDES("train.batch_size=16"));
    assert_true(config_set(&c, "parallel.micro_batches", "8", &err));
    assert_int_equal(c.parallel.micro_batches, 8);
    assert_int_equal(c.lora.r, 4);
    assert_string_equal(config_where(&c, "lora.r", room, sizeof room), "run.yaml:3: lora.r");
    assert_string_equal(config_where(&c, "train.batch_size", room, sizeof room), "--train.batch_size");
    assert_string_equal(config_where(&c, "parallel.micro_batches", room, sizeof room),
                        "parallel.micro_batches (set by the program)");
    assert_string_equal(c.model, "m");
    config_release(&c);
}

static void a_key_set_wrongly_changes_nothing(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    load_good(&c, "model: m\ntrain: {batch_size: 16}\n", NULL);
    assert_false(config_set(&c, "parallel.micro_batches", "17", &err));
    expect_in(err.where, "run.yaml:2: train.batch_size");
    assert_false(config_set(&c, "parallel.micro_batches", "0", &err));
    assert_false(config_set(&c, "no.such", "0", &err));
    assert_int_equal(c.parallel.micro_batches, -1);
    assert_int_equal(c.train.batch_size, 16);
    config_release(&c);
}

static void help_has_a_row_for_each_key(void **state)
{
    (void)state;
    Text out = { 0 };
    config_help(&out);
    int count;
    const ConfigKey *keys = config_keys(&count);
    for (int i = 0; i < count; i++) {
        expect_in(out.data, keys[i].name);
        expect_in(out.data, keys[i].help);
    }
    expect_in(out.data, "a whole number from 1 to 4096");
    expect_in(out.data, "linear, cosine, constant, constant_with_warmup");
    text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(every_supported_key_is_printed),
        cmocka_unit_test(paths_are_printed_absolute),
        cmocka_unit_test(two_runs_differ_in_what_changes_the_adapter),
        cmocka_unit_test(what_may_be_changed_makes_no_other_run),
        cmocka_unit_test(what_is_generated_may_be_changed_for_all_workers),
        cmocka_unit_test(long_values_are_cut_where_they_part),
        cmocka_unit_test(automatic_micro_batches_are_the_same_run_as_the_number_they_became),
        cmocka_unit_test(what_a_run_has_fixed_is_taken_as_it_is),
        cmocka_unit_test(a_key_can_be_set_later_and_keeps_the_others_places),
        cmocka_unit_test(a_key_set_wrongly_changes_nothing),
        cmocka_unit_test(help_has_a_row_for_each_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
