/* meta: the episodes of a step are its micro-batches; what says nothing without it, or goes with nothing of it, is refused. */
#include "common/config/config_meta.h"

#include "tests/common/config/load.h"

static const char file[] = "model: m\n"
                           "tasks:\n"
                           "  a: {train: a.tsv, labels: 2}\n"
                           "  b: {train: b.tsv, labels: 3}\n"
                           "train: {batch_size: 8}\n"
                           "meta: {algorithm: reptile, episodes: 6, inner_steps: 3}\n";

static void a_step_is_of_episodes(void **state)
{
    (void)state;
    Config c;
    Text text = { 0 };
    load_good(&c, file, NULL);
    assert_int_equal(c.parallel.micro_batches, 6);
    assert_int_equal(config_step_size(&c), 6);
    assert_int_equal(config_episode_batches(&c), 3);
    assert_int_equal(c.meta.inner_optim, OPTIM_SGD);
    config_print(&c, &text); /* says every key, and is read back */
    config_release(&c);
    load_good(&c, text.data, OVERRIDES("meta.algorithm=fomaml"));
    assert_int_equal(config_episode_batches(&c), 4);
    config_release(&c);
    text_release(&text);
    load_good(&c, "model: m\ntrain: {batch_size: 8}\n", NULL);
    assert_int_equal(config_step_size(&c), 8);
    assert_int_equal(config_episode_batches(&c), 1);
    assert_int_equal(c.parallel.micro_batches, -1);
    config_release(&c);
}

static void what_does_not_go_with_it_is_refused(void **state)
{
    (void)state;
    expect_refused("model: m\nmeta: {algorithm: reptile}\n", NULL, "there are none", "run.yaml:2: meta.algorithm",
                   "tasks");
    expect_refused("model: m\nmeta: {inner_steps: 4}\n", NULL, "without meta.algorithm", "run.yaml:2: meta.inner_steps",
                   "");
    expect_refused("model: m\n", OVERRIDES("meta.inner_optim=adamw_torch"), "without meta.algorithm",
                   "--meta.inner_optim", "");
    expect_refused("model: m\n", OVERRIDES("meta.episodes=5"), "without meta.algorithm", "--meta.episodes", "");
    expect_refused("model: m\n", OVERRIDES("meta.inner_learning_rate=0.1"), "without meta.algorithm",
                   "--meta.inner_learning_rate", "");
    expect_refused(file, OVERRIDES("parallel.micro_batches=4"), "are its episodes", "--parallel.micro_batches",
                   "meta.episodes");
    expect_refused(file, OVERRIDES("parallel.pipeline=2"), "by one rank", "--parallel.pipeline", "");
    expect_refused(file, OVERRIDES("ps.mode=async"), "the version that it began with", "--ps.mode", "");
    expect_refused(file, OVERRIDES("lora.method=adalora"), "AdaLoRA", "--lora.method", "");
    expect_refused(file, OVERRIDES("meta.algorithm=maml"), "not supported yet", "--meta.algorithm", "");
    expect_refused(file, OVERRIDES("meta.inner_steps=0"), "0 is out of range", "--meta.inner_steps", "");
}

static void few_rows_are_of_classes(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\ndata: {shots: 16}\n", NULL);
    assert_int_equal(c.data.shots, 16);
    config_release(&c);
    expect_refused("model: m\ntask_type: CAUSAL_LM\n", OVERRIDES("data.shots=4"), "counted by their class",
                   "--data.shots", "");
    expect_refused("model: m\n", OVERRIDES("data.shots=4", "train.class_weights=balanced"), "as many rows of each",
                   "--train.class_weights", "");
    expect_refused("model: m\n", OVERRIDES("lora.ignore_mismatched_sizes=true"), "belongs to lora.init_adapter",
                   "--lora.ignore_mismatched_sizes", "");
    expect_refused("model: m\n", OVERRIDES("lora.ignore_mismatched_sizes=true", "lora.init_adapter=a"), "not given",
                   "--lora.ignore_mismatched_sizes", "labels");
}

static void an_optimizer_has_trainers_names(void **state)
{
    (void)state;
    Config c;
    load_good(&c, "model: m\ntrain: {optim: sgd}\n", NULL);
    assert_int_equal(c.train.optim, OPTIM_SGD);
    config_release(&c);
    load_good(&c, "model: m\ntrain: {optim: adamw_torch_fused}\n", NULL);
    assert_int_equal(c.train.optim, OPTIM_ADAMW);
    config_release(&c);
    expect_refused("model: m\ntrain: {optim: adafactor}\n", NULL, "adafactor", "run.yaml:2: train.optim", "sgd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_of_episodes),
        cmocka_unit_test(what_does_not_go_with_it_is_refused),
        cmocka_unit_test(few_rows_are_of_classes),
        cmocka_unit_test(an_optimizer_has_trainers_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
