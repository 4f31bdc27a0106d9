/* A run from its first HELLO to its files, undisturbed and killed after every step. */
#include "ps/run.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/metrics/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EXAMPLES = 40, STEPS = 6 }; /* batches of 16: 3 an epoch, 2 epochs */

static Run *open_run(const char *folder, bool overwrite, const char *extra, Err *err)
{
    char *output = xprintf("train.output_dir=%s", folder);
    const char *overrides[] = { output, "train.num_train_epochs=2", "train.save_strategy=epoch",
                                extra };
    Config config = { 0 };
    assert_true(config_load(&config,
                            &(ConfigSources){ .file = "tests/golden/bert-seqcls/run.yaml",
                                              .overrides = overrides,
                                              .override_count = extra ? 4 : 3 },
                            err));
    Run *run = run_open(&config, overwrite, err);
    free(output);
    return run;
}

static void evaluate(const CoreWorld *world, int64_t version)
{
    Metrics one;
    metrics_init(&one, &(MetricsSpec){ TASK_SEQ_CLS, PROBLEM_SINGLE_LABEL, 3, NULL });
    const float logits[3] = { 0, (float)version, 1 }, goal[1] = { 1 };
    metrics_add(&one, logits, goal, 1, 1.0 / (double)version);
    const double *sums[] = { one.sums, one.sums };
    const int64_t sizes[] = { one.size, one.size };
    world->evaluated(world->self, version, sums, sizes, 2);
    metrics_release(&one);
}

static bool step(const CoreWorld *world, int64_t version, int64_t size)
{
    float *gradient = xcalloc((size_t)size, sizeof(float));
    rng_normal(gradient, size, 1.0F, rng_key(4, version, 0, 0));
    int code = 0;
    const char *text = NULL;
    const bool ok =
        world->apply(world->self, &(StepSums){ version, gradient, 16, 300, 16.5 }, &code, &text);
    free(gradient);
    return ok;
}

/* Slot facts come from a refusal-free HELLO: the run's own table. */
static HelloFacts facts_of(const Run *run)
{
    return (HelloFacts){ .slot_size = run_slot_size(run),
                         .examples = EXAMPLES,
                         .longest = 32,
                         .eval_chunks = 2,
                         .eval_examples = 2,
                         .eval_width = 16,
                         .ranks = 2,
                         .job_ranks = 2 };
}

/* Trains until the end; closes and opens the run again after every step when asked to. */
static char *train(const char *folder, bool disturbed)
{
    Err err = { 0 };
    Run *run = open_run(folder, true, NULL, &err);
    assert_non_null(run);
    for (;;) {
        CoreWorld world = run_world(run);
        const HelloFacts facts = facts_of(run);
        assert_int_equal(world.begin(world.self, &facts, 2), 2);
        int code;
        const char *text;
        const int64_t version = run_version(run);
        const LeaseKind kind = world.next(world.self, version, &code, &text);
        if (kind == LEASE_STOP)
            break;
        if (kind == LEASE_EVAL)
            evaluate(&world, version);
        else
            assert_true(step(&world, version, run_slot_size(run)));
        if (disturbed) {
            const int64_t before = run_version(run);
            run_close(run);
            run = open_run(folder, false, NULL, &err);
            assert_non_null(run);
            assert_int_equal(run_version(run), before);
        }
    }
    assert_int_equal(run_version(run), STEPS);
    assert_true(run_finish(run, &err));
    run_close(run);
    char *path = path_join(folder, "summary.json");
    json_t *summary = json_file(path, &err);
    assert_non_null(summary);
    char *digest = xstrdup(json_get_string(summary, "adapter_sha256", "", &err));
    json_decref(summary);
    free(path);
    return digest;
}

static int count_lines(const char *folder)
{
    char *path = path_join(folder, "metrics.jsonl");
    char *text = file_read(path, NULL, NULL);
    int lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    free(text);
    free(path);
    return lines;
}

static void a_run_killed_after_every_step_ends_with_the_same_adapter(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *calm = train(folder, false);
    assert_int_equal(count_lines(folder), STEPS + 2);
    char *disturbed = train(folder, true);
    assert_int_equal(count_lines(folder), STEPS + 2);
    assert_int_equal(strlen(calm), 64);
    assert_string_equal(calm, disturbed);
    char *wal = path_join(folder, "wal");
    assert_false(file_is_folder(wal));
    free(wal);
    free(calm);
    free(disturbed);
    assert_true(folder_remove(folder, NULL));
}

static void another_configuration_in_the_folder_is_refused_by_key(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    Err err = { 0 };
    Run *nobody_joined = open_run(folder, false, "train.seed=7", &err);
    assert_non_null(nobody_joined);
    run_close(nobody_joined);
    Run *run = open_run(folder, false, NULL, &err);
    assert_non_null(run);
    CoreWorld world = run_world(run);
    const HelloFacts facts = facts_of(run);
    assert_int_equal(world.begin(world.self, &facts, 2), 2);
    run_close(run);
    assert_null(open_run(folder, false, "train.learning_rate=0.5", &err));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.what, "train.learning_rate (0.5 here, 0.02 there)"));
    assert_true(folder_remove(folder, NULL));
}

static void a_run_that_nobody_joined_leaves_nothing(void **state)
{
    (void)state;
    char parent[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(parent));
    char *folder = path_join(parent, "out"), *mine = path_join(parent, "notes.txt");
    Err err = { 0 };
    Run *run = open_run(folder, false, NULL, &err);
    assert_non_null(run);
    run_close(run);
    assert_false(file_exists(folder));
    assert_true(file_write(mine, "kept", 4, &err));
    run = open_run(parent, false, NULL, &err); /* a folder that was there stays */
    assert_non_null(run);
    run_close(run);
    size_t count = 0;
    char **names = folder_list(parent, &count, &err);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "notes.txt");
    free(names[0]);
    free(names);
    free(folder);
    free(mine);
    assert_true(folder_remove(parent, NULL));
}

static void a_gradient_that_is_not_finite_is_named_and_not_applied(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    Err err = { 0 };
    Run *run = open_run(folder, false, NULL, &err);
    assert_non_null(run);
    CoreWorld world = run_world(run);
    const HelloFacts facts = facts_of(run);
    world.begin(world.self, &facts, 2);
    float *gradient = xcalloc((size_t)run_slot_size(run), sizeof(float));
    gradient[0] = NAN;
    int code = 0;
    const char *text = NULL;
    assert_false(world.apply(world.self, &(StepSums){ 0, gradient, 16, 1, 1.0 }, &code, &text));
    assert_int_equal(code, 5);
    assert_non_null(strstr(text, "layer.0.attention.self.query.lora_A"));
    assert_non_null(strstr(text, "step 1"));
    assert_int_equal(run_version(run), 0);
    free(gradient);
    run_close(run);
    assert_true(folder_remove(folder, NULL));
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_killed_after_every_step_ends_with_the_same_adapter),
        cmocka_unit_test(another_configuration_in_the_folder_is_refused_by_key),
        cmocka_unit_test(a_run_that_nobody_joined_leaves_nothing),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_named_and_not_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
