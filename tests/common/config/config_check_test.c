/* Keys that contradict each other, and what each kind of run needs. */
#include "tests/common/config/load.h"

#define BASE "model: m\ndata: {validation: d.tsv}\n"

static void validation_data_is_named_or_split_off(void **state)
{
    (void)state;
    expect_refused("model: m\ndata:\n  validation: d.tsv\n  validation_split: 0.1\n", NULL, "split off as well",
                   "run.yaml:3: data.validation and run.yaml:4: data.validation_split", "keep");
}

static void the_command_line_replaces_the_files_validation(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\ndata: {validation_split: 0.2}\n", OVERRIDES("data.validation=/d.tsv"));
    assert_true(c.data.validation_split == 0);
    assert_string_equal(c.data.validation.items[0], "/d.tsv");
    assert_int_equal(c.train.eval_strategy, WHEN_EPOCH);
    assert_string_equal(c.notes, "run.yaml:2: data.validation_split gives way to --data.validation\n");
    config_release(&c);
    load_good(&c, "model: m\ndata:\n  validation: [/d.tsv, /e.tsv]\n", OVERRIDES("data.validation_split=0.25"));
    assert_int_equal(c.data.validation.count, 0);
    assert_true(c.data.validation_split == 0.25);
    assert_string_equal(c.notes, "run.yaml:3: data.validation gives way to --data.validation_split\n");
    Text text = { 0 }; /* it is what the run says from then on */
    config_print(&c, &text);
    expect_in(text.data, "validation: null\n");
    text_release(&text);
    config_release(&c);
    /* said twice in one place, it is a contradiction; null takes the file's away, for what the file lacks */
    expect_refused("model: m\n", OVERRIDES("data.validation=d.tsv", "data.validation_split=0.1"), "split off as well",
                   "--data.validation and --data.validation_split", "keep");
    load_good(&c, "model: m\ndata: {validation_split: 0.2}\n", OVERRIDES("data.validation_split=null"));
    assert_true(c.data.validation_split == 0);
    assert_int_equal(c.train.eval_strategy, WHEN_NO);
    config_release(&c);
}

static void an_adapters_keys_mean_nothing_where_every_weight_is_trained(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\ntrain: {mode: full}\nlora: {r: 8, bias: none}\n", NULL); /* as by default */
    assert_int_equal(c.lora.mode, MODE_FULL);
    Text text = { 0 };
    config_print(&c, &text); /* says every key, and is read back */
    config_release(&c);
    load_good(&c, text.data, NULL);
    config_release(&c);
    text_release(&text);
    expect_refused("model: m\ntrain: {mode: full}\nlora: {target_modules: [query]}\n", NULL,
                   "lora.target_modules would have no effect",
                   "run.yaml:3: lora.target_modules and run.yaml:2: train.mode", "remove it, or set train.mode: lora");
    expect_refused("model: m\n", OVERRIDES("train.mode=full", "lora.init_adapter=/a"),
                   "lora.init_adapter would have no effect", "--lora.init_adapter and --train.mode", "");
    expect_refused("model: m\n", OVERRIDES("train.mode=full", "lora.r=16"), "lora.r would", "--lora.r", "");
    expect_refused("model: m\n", OVERRIDES("train.mode=full", "train.loraplus_lr_ratio=16"), "train.loraplus_lr_ratio",
                   "--train.loraplus_lr_ratio", "");
}

static void evaluations_need_validation_data(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\n", NULL); /* the default follows the data */
    assert_int_equal(c.train.eval_strategy, WHEN_NO);
    config_release(&c);
    load_good(&c, BASE, NULL);
    assert_int_equal(c.train.eval_strategy, WHEN_EPOCH);
    config_release(&c);
    load_good(&c, "model: m\ndata: {validation_split: 0.2}\n", NULL);
    assert_int_equal(c.train.eval_strategy, WHEN_EPOCH);
    config_release(&c);
    expect_refused("model: m\ntrain: {eval_strategy: epoch}\n", NULL, "no validation data",
                   "run.yaml:2: train.eval_strategy", "data.validation");
}

static void eval_steps_follow_logging_steps(void **state)
{
    (void)state;
    Config c;
    load_good(&c, BASE "train: {eval_strategy: steps, logging_steps: 7}\n", NULL);
    assert_int_equal(c.train.eval_steps, 7);
    config_release(&c);
}

static void the_best_model_needs_evaluations_and_no_more(void **state)
{
    (void)state;
    const char *best = "train.load_best_model_at_end=true";
    Config c;
    load_good(&c, BASE, OVERRIDES(best, "train.metric_for_best_model=eval_f1"));
    assert_string_equal(c.train.metric_for_best_model, "f1");
    config_release(&c);
    expect_refused("model: m\n", OVERRIDES(best), "there are none", "train.eval_strategy", "");
    load_good(&c, BASE, OVERRIDES(best, "train.save_strategy=no"));
    config_release(&c);
    load_good(&c, BASE,
              OVERRIDES(best, "train.save_strategy=steps", "train.eval_strategy=steps", "train.eval_steps=3"));
    config_release(&c);
}

static void the_metric_belongs_to_the_task(void **state)
{
    (void)state;
    Config c;
    static const char *const good[][2] = {
        { "regression", "mse" },
        { "regression", "spearman" },
        { "regression", "loss" },
        { "null", "pearson" },
        { "null", "matthews" },
        { "null", "accuracy" },
        { "single_label_classification", "recall" },
        { "multi_label_classification", "precision" },
    };
    static const char *const bad[][2] = {
        { "regression", "accuracy" },
        { "single_label_classification", "mse" },
        { "multi_label_classification", "matthews" },
        { "null", "acuracy" },
        { "null", "bleu" },
    };
    char problem[64], metric[64];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(problem, sizeof problem, "problem_type=%s", good[i][0]);
        snprintf(metric, sizeof metric, "train.metric_for_best_model=%s", good[i][1]);
        load_good(&c, BASE, OVERRIDES(problem, metric));
        config_release(&c);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(problem, sizeof problem, "problem_type=%s", bad[i][0]);
        snprintf(metric, sizeof metric, "train.metric_for_best_model=%s", bad[i][1]);
        expect_refused(BASE, OVERRIDES(problem, metric), "this task has no metric", "--train.metric_for_best_model",
                       "has loss");
    }
}

static void early_stopping_needs_evaluations(void **state)
{
    (void)state;
    expect_refused("model: m\ntrain: {early_stopping_patience: 2}\n", NULL, "early stopping",
                   "train.early_stopping_patience", "data.validation");
    Config c;
    load_good(&c, BASE "train: {early_stopping_patience: 2}\n", NULL);
    assert_int_equal(c.train.early_stopping_patience, 2);
    config_release(&c);
}

static void layers_need_a_list_of_modules(void **state)
{
    (void)state;
    expect_refused("model: m\nlora: {layers_to_transform: 1, target_modules: .*query}\n", NULL,
                   "needs target_modules to be a list", "lora.layers_to_transform", "");
    expect_refused("model: m\nlora: {layers_to_transform: [1], target_modules: all-linear}\n", NULL,
                   "needs target_modules to be a list", "lora.target_modules", "");
    Config c;
    load_good(&c, "model: m\nlora: {layers_to_transform: 1}\n", NULL);
    config_release(&c);
}

static void a_warm_up_is_given_once_and_to_a_schedule_that_has_one(void **state)
{
    (void)state;
    expect_refused("model: m\ntrain: {warmup_steps: 5, warmup_ratio: 0.1}\n", NULL, "in steps and as a share",
                   "train.warmup_ratio", "keep");
    expect_refused("model: m\ntrain: {warmup_steps: 5, lr_scheduler_type: constant}\n", NULL, "no warm-up",
                   "train.lr_scheduler_type", "constant_with_warmup");
    expect_refused("model: m\ntrain: {max_steps: 0}\n", NULL, "no steps", "train.max_steps", "-1");
}

static void a_rate_that_follows_evaluations_has_them_and_their_direction(void **state)
{
    (void)state;
    static const char measured[] = "model: m\ndata: {validation: v.jsonl}\ntrain:\n"
                                   "  lr_scheduler_type: reduce_lr_on_plateau\n  metric_for_best_model: accuracy\n";
    expect_refused("model: m\ntrain: {lr_scheduler_type: reduce_lr_on_plateau}\n", NULL,
                   "follows evaluations, and there are none", "train.eval_strategy (default)", "data.validation");
    expect_refused("model: m\ndata: {validation: v.jsonl}\n"
                   "train: {lr_scheduler_type: reduce_lr_on_plateau, eval_strategy: no}\n",
                   NULL, "there are none", "run.yaml:3: train.lr_scheduler_type and run.yaml:3: train.eval_strategy",
                   "");
    expect_refused("model: m\ntrain: {lr_scheduler_type: reduce_lr_on_plateau, warmup_ratio: 0.1}\n", NULL,
                   "no warm-up", "train.warmup_ratio", "remove it");
    expect_refused(measured, NULL, "of it more is better, and the mode is min", "run.yaml:5: train.metric",
                   "mode: max");
    expect_refused(measured,
                   OVERRIDES("train.metric_for_best_model=loss", "train.lr_scheduler_kwargs={\"mode\": \"max\"}"),
                   "of it less is better, and the mode is max", "train.lr_scheduler_kwargs", "mode: min");
    Config c;
    load_good(&c, measured, OVERRIDES("train.lr_scheduler_kwargs={\"mode\": \"max\", \"patience\": 2}"));
    assert_int_equal(c.train.schedule, RATE_REDUCE_ON_PLATEAU);
    config_release(&c);
}

static void options_are_those_of_the_schedule(void **state)
{
    (void)state;
    expect_refused("model: m\ntrain:\n  lr_scheduler_type: cosine\n  lr_scheduler_kwargs: {power: 2}\n", NULL,
                   "no option 'power'", "run.yaml:4: train.lr_scheduler_kwargs and run.yaml:3", "num_cycles");
    expect_refused("model: m\ntrain: {lr_scheduler_type: cosine_with_min_lr}\n", NULL, "its least learning rate",
                   "train.lr_scheduler_kwargs (default)", "min_lr_rate");
    expect_refused("model: m\ntrain: {lr_scheduler_type: polynomial, learning_rate: 1e-8}\n", NULL, "lr_end is 1e-07",
                   "train.lr_scheduler_type", "");
    expect_refused("model: m\ntrain: {lr_scheduler_kwargs: 3}\n", NULL, "'3' is not a map", "train.lr_scheduler_kwargs",
                   "");
    expect_refused("model: m\ntrain: {lr_scheduler_type: greedy}\n", NULL, "greedy is not supported yet",
                   "train.lr_scheduler_type", "");
    Config c;
    load_good(&c, "model: m\ntrain: {lr_scheduler_type: polynomial, lr_scheduler_kwargs: {power: 2.0, lr_end: 1e-5}}\n",
              NULL);
    Text text = { 0 };
    config_print_key(&c, "train.lr_scheduler_kwargs", &text);
    assert_string_equal(text.data, "{power: 2.0, lr_end: 1.0e-05}");
    text_release(&text);
    config_release(&c);
    load_good(
        &c, "model: m\n",
        OVERRIDES("train.lr_scheduler_type=cosine_with_restarts", "train.lr_scheduler_kwargs={\"num_cycles\": 3}"));
    assert_int_equal(json_integer_value(json_object_get(c.train.schedule_options, "num_cycles")), 3);
    assert_int_equal(json_object_size(c.model_config), 0);
    config_release(&c);
    load_good(&c, "model: m\ntrain: {lr_scheduler_kwargs: ~}\n", NULL);
    assert_int_equal(json_object_size(c.train.schedule_options), 0);
    config_release(&c);
}

static void methods_that_peft_does_not_take_together_are_refused(void **state)
{
    (void)state;
    Config c;
    expect_refused(BASE, OVERRIDES("lora.use_dora=true", "lora.lora_bias=true"), "has no bias",
                   "--lora.use_dora and --lora.lora_bias", "remove lora.use_dora or lora.lora_bias");
    expect_refused(BASE, OVERRIDES("lora.lora_bias=true", "lora.init_lora_weights=gaussian"), "begins as zero",
                   "--lora.lora_bias and --lora.init_lora_weights", "remove");
    load_good(&c, BASE, OVERRIDES("lora.use_dora=true", "lora.use_rslora=true", "lora.init_lora_weights=gaussian"));
    config_release(&c);
}

static void noise_is_for_words(void **state)
{
    (void)state;
    expect_refused(BASE, OVERRIDES("task_type=IMAGE_CLS", "train.neftune_noise_alpha=5"), "for words",
                   "--train.neftune_noise_alpha and --task_type", "remove");
    expect_refused(BASE, OVERRIDES("train.neftune_noise_alpha=0"), "out of range", "--train.neftune_noise_alpha", "");
}

static void loraplus_is_on_or_off(void **state)
{
    (void)state;
    expect_refused("model: m\ntrain: {loraplus_weight_decay: 0.1}\n", NULL, "LoRA+ is off", "train.loraplus_lr_ratio",
                   "loraplus_lr_ratio: 16");
    expect_refused("model: m\ntrain: {loraplus_lr_embedding: 1e-5}\n", NULL, "LoRA+ is off",
                   "run.yaml:2: train.loraplus_lr_embedding", "");
    expect_refused("model: m\ntrain: {loraplus_lr_ratio: 16, weight_decay: 0.1}\n", NULL, "a weight decay of its own",
                   "train.weight_decay", "loraplus_weight_decay");
    expect_refused("model: m\ntrain: {loraplus_lr_ratio: 16, learning_rate: 0}\n", NULL, "which is 0",
                   "train.learning_rate", "raise");
    Config c;
    load_good(&c, "model: m\ntrain: {loraplus_lr_ratio: 16, loraplus_lr_embedding: 0, loraplus_weight_decay: 0.1}\n",
              NULL);
    config_release(&c);
    load_good(&c, "model: m\ntrain: {loraplus_lr_ratio: null, weight_decay: 0.1}\n", NULL);
    assert_true(c.train.loraplus_lr_ratio == 0);
    config_release(&c);
}

static void adaloras_keys_go_together(void **state)
{
    (void)state;
#define ADA "model: m\nlora: {method: adalora, target_modules: [q], "
    expect_refused("model: m\nlora: {target_r: 4}\n", NULL, "it belongs to AdaLoRA, which is off",
                   "run.yaml:2: lora.target_r", "lora.method: adalora");
    expect_refused("model: m\nlora: {beta1: 0.5}\n", NULL, "it belongs to AdaLoRA", "run.yaml:2: lora.beta1", "");
    expect_refused(ADA "r: 4}\n", NULL, "does not know this key", "run.yaml:2: lora.r", "lora.init_r");
    expect_refused(ADA "use_rslora: true}\n", NULL, "does not know this key", "lora.use_rslora", "");
    expect_refused(ADA "rank_pattern: {q: 2}}\n", NULL, "does not know this key", "lora.rank_pattern", "");
    expect_refused(ADA "alpha_pattern: {q: 2}}\n", NULL, "does not know this key", "lora.alpha_pattern", "");
    expect_refused(ADA "init_lora_weights: pissa}\n", NULL, "does not know this key", "lora.init_lora_weights", "");
    expect_refused(ADA "init_r: 8}\n", NULL, "from 8 triplets a module none are left out for 8", "lora.target_r",
                   "lora.init_r");
    expect_refused(ADA "tinit: 40, tfinal: 60, total_step: 100}\n", NULL, "leave none of 100 steps", "lora.total_step",
                   "smaller");
    expect_refused(ADA "tinit: 40, tfinal: 60}\ntrain: {max_steps: 90}\n", NULL, "leave none of 90 steps",
                   "train.max_steps", "");
    expect_refused(ADA "beta2: 1}\n", NULL, "1 is out of range", "lora.beta2", "below 1");
    expect_refused("model: m\nlora: {method: adalora}\n", NULL, "no default for target_modules", "lora.method",
                   "all-linear");
    Config c;
    load_good(&c,
              "model: m\nlora: {peft_type: ADALORA, target_modules: all-linear, tinit: 9, tfinal: 10, deltaT: 3}\n"
              "train: {max_steps: 20}\n",
              NULL);
    assert_int_equal(c.lora.method, METHOD_ADALORA);
    assert_int_equal(c.lora.ada.init_r, 12);
    assert_int_equal(c.lora.ada.total_step, -1);
    config_release(&c);
#undef ADA
}

static void a_start_is_given_once(void **state)
{
    (void)state;
    expect_refused("model: m\nlora: {init_adapter: a, init_lora_weights: pissa}\n", NULL, "it has no effect",
                   "run.yaml:2: lora.init_lora_weights", "remove one");
    expect_refused("model: m\nlora: {init_lora_weights: pissa_niter_}\n", NULL, "is not one of its values",
                   "run.yaml:2: lora.init_lora_weights", "pissa_niter_N");
    expect_refused("model: m\nlora: {init_lora_weights: pissa_niter_100}\n", NULL, "is not one of its values", "", "");
    expect_refused("model: m\nlora: {init_lora_weights: eva}\n", NULL, "eva is not supported: the ranks of its modules",
                   "run.yaml:2: lora.init_lora_weights", "lora.init_adapter: DIR");
    expect_refused("model: m\nlora: {init_lora_weights: corda}\n", NULL, "corda is not supported yet", "", "");
    Config c;
    load_good(&c, "model: m\nlora: {init_lora_weights: pissa_niter_16}\n", NULL);
    assert_int_equal(c.lora.init, INIT_PISSA_NITER + 16);
    config_release(&c);
}

static void micro_batches_are_at_most_the_examples(void **state)
{
    (void)state;
    expect_refused("model: m\ntrain: {batch_size: 8}\nparallel: {micro_batches: 9}\n", NULL, "9 micro-batches",
                   "run.yaml:3: parallel.micro_batches", "");
}

static void columns_differ(void **state)
{
    (void)state;
    expect_refused("model: m\ndata: {text: a, label: a}\n", NULL, "same column 'a'", "data.text", "");
    expect_refused("model: m\ndata: {text: a, text_pair: a}\n", NULL, "'a' is used twice", "data.text_pair", "");
}

static void an_open_address_needs_consent(void **state)
{
    (void)state;
    static const char *const open[] = { "tcp://head:7700",     "tcp://*:7700",         "tcp://0.0.0.0:7700",
                                        "tcp://10.1.2.3:7700", "tcp://[fe80::1]:7700", "tcp://127.0.0.1.evil.org:7700",
                                        "tcp://127.a.b.c:1" };
    static const char *const closed[] = { "tcp://127.0.0.1:7700", "tcp://localhost:7700", "tcp://[::1]:7700",
                                          "tcp://127.0.1.1:*" };
    static const char *const wrong[] = { "head:7700",        "tcp://head",     "tcp://127.1:7700",
                                         "tcp://head:0x7",   "tcp://:7700",    "tcp://head:77x",
                                         "tcp://he ad:7700", "ipc://socket:1", "tcp://a/b:1" };
    char address[100];
    Config c;
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        snprintf(address, sizeof address, "ps.address=%s", open[i]);
        expect_refused("model: m\n", OVERRIDES(address), "not loopback", "--ps.address", "ps.insecure: true");
        load_good(&c, "model: m\n", OVERRIDES(address, "ps.insecure=true"));
        config_release(&c);
    }
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        snprintf(address, sizeof address, "ps.address=%s", closed[i]);
        load_good(&c, "model: m\n", OVERRIDES(address));
        assert_string_equal(c.ps.address, closed[i]);
        config_release(&c);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(address, sizeof address, "ps.address=%s", wrong[i]);
        expect_refused("model: m\n", OVERRIDES(address, "ps.insecure=true"), "is not an address", "--ps.address",
                       "tcp://HOST:PORT");
    }
    expect_refused("model: m\n", OVERRIDES("ps.address=tcp://127.0.0.1:65535"), "out of range", "--ps.address",
                   "1 to 65534");
}

static void a_lease_outlives_a_heartbeat(void **state)
{
    (void)state;
    expect_refused("model: m\nps: {heartbeat: 5}\n", NULL, "signs of life", "ps.lease_timeout", "");
}

static void a_single_label_is_no_choice(void **state)
{
    (void)state;
    expect_refused("model: m\nlabels: 1\nproblem_type: single_label_classification\n", NULL, "a single label", "labels",
                   "regression");
    Config c;
    load_good(&c, "model: m\nlabels: 1\nproblem_type: regression\n", NULL);
    config_release(&c);
}

static void training_needs_data_and_a_folder(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    load_good(&c, "model: m\n", NULL);
    assert_false(config_check_training(&c, &err));
    expect_in(err.what, "no training data");
    config_release(&c);
    load_good(&c, "model: m\ndata: {train: a.tsv}\n", NULL);
    assert_false(config_check_training(&c, &err));
    expect_in(err.where, "train.output_dir");
    assert_int_equal(err_exit_code(&err), 2);
    config_release(&c);
    load_good(&c, "model: m\ndata: {train: a.tsv}\ntrain: {output_dir: o}\n", NULL);
    assert_true(config_check_training(&c, &err));
    config_release(&c);
}

static void keys_belong_to_their_task(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        { "SEQ_CLS", "data.block_size=64", "CAUSAL_LM" },      { "SEQ_CLS", "data.prompt=p", "CAUSAL_LM" },
        { "TOKEN_CLS", "data.messages=m", "CAUSAL_LM" },       { "SEQ_CLS", "data.template={a}", "CAUSAL_LM" },
        { "TOKEN_CLS", "data.packing=true", "CAUSAL_LM" },     { "SEQ_CLS", "data.system=s", "CAUSAL_LM" },
        { "TOKEN_CLS", "data.text_pair=b", "SEQ_CLS" },        { "IMAGE_CLS", "data.generate=true", "CAUSAL_LM" },
        { "SEQ_2_SEQ_LM", "data.packing=true", "CAUSAL_LM" },  { "SEQ_2_SEQ_LM", "data.messages=m", "CAUSAL_LM" },
        { "CAUSAL_LM", "data.random_flip=true", "IMAGE_CLS" }, { "CAUSAL_LM", "data.random_crop=true", "IMAGE_CLS" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char task[64];
        snprintf(task, sizeof task, "task_type=%s", bad[i][0]);
        expect_refused("model: m\n", OVERRIDES(task, bad[i][1]), bad[i][2], "task_type", "set task_type");
    }
    const char *clm = "model: m\ntask_type: CAUSAL_LM\n";
    expect_refused(clm, OVERRIDES("labels=[a, b]"), "has no labels", "--labels", "SEQ_CLS");
    expect_refused(clm, OVERRIDES("problem_type=regression"), "does not go with", "--problem_type", "SEQ_CLS");
    expect_refused("model: m\ntask_type: IMAGE_CLS\n", OVERRIDES("problem_type=multi_label_classification"),
                   "does not go with", "--problem_type", "one class each");
    Config c;
    load_good(&c, "model: m\ntask_type: IMAGE_CLS\n",
              OVERRIDES("data.random_flip=true", "problem_type=single_label_classification"));
    assert_true(c.data.random_flip && !c.data.random_crop);
    config_release(&c);
}

static void targets_are_learnt_from_sources(void **state)
{
    (void)state;
    const char *pairs = "model: m\ntask_type: SEQ_2_SEQ_LM\n";
    Config c;
    load_good(&c, pairs, OVERRIDES("data.train=t", "data.prompt=s", "data.completion=t", "data.generate=true"));
    assert_int_equal(c.data.max_target_length, 128);
    config_release(&c);
    load_good(&c, pairs, OVERRIDES("data.template={a}", "data.completion=t", "train.metric_for_best_model=perplexity"));
    config_release(&c);
    expect_refused(pairs, OVERRIDES("data.train=t"), "sources and targets", "data.completion", "set data.prompt");
    expect_refused(pairs, OVERRIDES("labels=[a, b]"), "has no labels", "--labels", "SEQ_CLS");
}

static void a_language_model_learns_from_one_kind_of_text(void **state)
{
    (void)state;
    const char *clm = "model: m\ntask_type: CAUSAL_LM\n";
    Config c;
    load_good(&c, clm, OVERRIDES("data.prompt=p", "data.completion=c", "data.generate=true"));
    assert_string_equal(c.data.prompt, "p");
    assert_string_equal(c.data.completion, "c");
    assert_int_equal(c.data.block_size, -1);
    config_release(&c);
    load_good(&c, clm, OVERRIDES("data.block_size=128"));
    assert_int_equal(c.data.block_size, 128);
    config_release(&c);
    expect_refused(clm, OVERRIDES("data.prompt=p"), "go together", "--data.prompt", "neither");
    expect_refused(clm, OVERRIDES("data.completion=p"), "go together", "--data.completion", "");
    expect_refused(clm, OVERRIDES("data.prompt=p", "data.completion=p"), "used twice",
                   "--data.prompt and --data.completion", "");
    expect_refused(clm, OVERRIDES("data.prompt=p", "data.completion=c", "data.messages=m"), "at once",
                   "--data.messages", "keep");
    expect_refused(clm, OVERRIDES("data.prompt=p", "data.completion=c", "data.block_size=8"), "plain text",
                   "--data.block_size and --data.prompt", "");
    expect_refused(clm, OVERRIDES("data.messages=m", "data.block_size=8"), "plain text",
                   "--data.block_size and --data.messages", "");
    expect_refused(clm, OVERRIDES("data.generate=true"), "no prompts", "--data.generate", "");
    expect_refused(clm, OVERRIDES("data.block_size=1"), "out of range", "--data.block_size", "");
    expect_refused(clm, OVERRIDES("data.temperature=0.7"), "no effect", "--data.temperature", "data.do_sample");
    load_good(&c, clm,
              OVERRIDES("data.temperature=0.7", "data.do_sample=true", "data.stop_strings=[\"\\n\", \"###\"]"));
    assert_int_equal(c.data.stop_strings.count, 2);
    assert_string_equal(c.data.stop_strings.items[0], "\n");
    config_release(&c);
}

static void a_template_is_a_prompt_or_a_text(void **state)
{
    (void)state;
    const char *clm = "model: m\ntask_type: CAUSAL_LM\n";
    Config c;
    load_good(&c, clm, OVERRIDES("data.template={a}\n{?b}{b}{/}", "data.completion=c", "data.generate=true"));
    assert_string_equal(c.data.template_text, "{a}\n{?b}{b}{/}");
    config_release(&c);
    load_good(&c, clm, OVERRIDES("data.template={a}", "data.block_size=512", "data.packing=true"));
    assert_true(c.data.packing);
    config_release(&c);
    load_good(&c, clm, OVERRIDES("data.messages=m", "data.system=Be brief."));
    assert_string_equal(c.data.system, "Be brief.");
    config_release(&c);
    expect_refused(clm, OVERRIDES("data.template={a}", "data.prompt=p", "data.completion=c"), "a column and a template",
                   "--data.template and --data.prompt", "keep");
    expect_refused(clm, OVERRIDES("data.template={a}", "data.messages=m"), "a template and conversations",
                   "--data.messages", "");
    expect_refused(clm, OVERRIDES("data.template=ab {c"), "without its '}'", "--data.template: letter 4", "{{");
    expect_refused(clm, OVERRIDES("data.template=always"), "no field", "--data.template", "{NAME}");
    expect_refused(clm, OVERRIDES("data.template={a}", "data.generate=true"), "no prompts", "--data.generate",
                   "data.completion");
    expect_refused(clm, OVERRIDES("data.template={a}", "data.block_size=512"), "from rows",
                   "--data.block_size and --data.template", "data.packing: true");
    expect_refused(clm, OVERRIDES("data.system=s"), "there are none", "--data.system", "data.messages");
    expect_refused(clm, OVERRIDES("data.packing=true"), "not said", "--data.packing", "data.block_size: 512");
    expect_refused(clm, OVERRIDES("data.packing=true", "data.block_size=256"), "a row of 512 tokens", "data.max_length",
                   "raise");
}

static void words_and_tags_are_two_fields(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\ntask_type: TOKEN_CLS\n", NULL);
    assert_string_equal(c.data.tokens, "tokens");
    assert_string_equal(c.data.tags, "tags");
    config_release(&c);
    expect_refused("model: m\ntask_type: TOKEN_CLS\n", OVERRIDES("data.tags=tokens"), "used twice", "--data.tags", "");
    expect_refused("model: m\ntask_type: TOKEN_CLS\n", OVERRIDES("labels=1"), "single label", "--labels", "two labels");
}

static void each_task_has_its_metrics(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        /* task, good, bad */
        { "TOKEN_CLS", "f1", "matthews" },       { "TOKEN_CLS", "accuracy", "pearson" },
        { "CAUSAL_LM", "perplexity", "bleu" },   { "CAUSAL_LM", "loss", "accuracy" },
        { "IMAGE_CLS", "matthews", "spearman" }, { "SEQ_CLS", "spearman", "perplexity" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char task[64], metric[64];
        Config c;
        snprintf(task, sizeof task, "task_type=%s", rows[i][0]);
        snprintf(metric, sizeof metric, "train.metric_for_best_model=eval_%s", rows[i][1]);
        load_good(&c, BASE, OVERRIDES(task, metric));
        config_release(&c);
        snprintf(metric, sizeof metric, "train.metric_for_best_model=%s", rows[i][2]);
        expect_refused(BASE, OVERRIDES(task, metric), "this task has no metric", "--train.metric_for_best_model",
                       "has loss");
    }
    Config c;
    load_good(
        &c, BASE "task_type: CAUSAL_LM\n",
        OVERRIDES("data.prompt=p", "data.completion=c", "data.generate=true", "train.metric_for_best_model=bleu"));
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validation_data_is_named_or_split_off),
        cmocka_unit_test(the_command_line_replaces_the_files_validation),
        cmocka_unit_test(an_adapters_keys_mean_nothing_where_every_weight_is_trained),
        cmocka_unit_test(evaluations_need_validation_data),
        cmocka_unit_test(eval_steps_follow_logging_steps),
        cmocka_unit_test(the_best_model_needs_evaluations_and_no_more),
        cmocka_unit_test(the_metric_belongs_to_the_task),
        cmocka_unit_test(early_stopping_needs_evaluations),
        cmocka_unit_test(layers_need_a_list_of_modules),
        cmocka_unit_test(a_warm_up_is_given_once_and_to_a_schedule_that_has_one),
        cmocka_unit_test(a_rate_that_follows_evaluations_has_them_and_their_direction),
        cmocka_unit_test(options_are_those_of_the_schedule),
        cmocka_unit_test(methods_that_peft_does_not_take_together_are_refused),
        cmocka_unit_test(noise_is_for_words),
        cmocka_unit_test(loraplus_is_on_or_off),
        cmocka_unit_test(adaloras_keys_go_together),
        cmocka_unit_test(a_start_is_given_once),
        cmocka_unit_test(micro_batches_are_at_most_the_examples),
        cmocka_unit_test(columns_differ),
        cmocka_unit_test(an_open_address_needs_consent),
        cmocka_unit_test(a_lease_outlives_a_heartbeat),
        cmocka_unit_test(a_single_label_is_no_choice),
        cmocka_unit_test(training_needs_data_and_a_folder),
        cmocka_unit_test(keys_belong_to_their_task),
        cmocka_unit_test(targets_are_learnt_from_sources),
        cmocka_unit_test(a_language_model_learns_from_one_kind_of_text),
        cmocka_unit_test(a_template_is_a_prompt_or_a_text),
        cmocka_unit_test(words_and_tags_are_two_fields),
        cmocka_unit_test(each_task_has_its_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
