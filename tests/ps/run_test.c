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

static bool gets_worse; /* later evaluations have more loss, not less */

static void evaluate(const CoreWorld *world, int64_t version)
{
    Metrics one;
    metrics_init(&one, &(MetricsSpec){ TASK_SEQ_CLS, PROBLEM_SINGLE_LABEL, 3, NULL });
    const float logits[3] = { 0, (float)version, 1 }, goal[1] = { 1 };
    metrics_add(&one, logits, goal, 1, gets_worse ? (double)version : 1.0 / (double)version);
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

/* One evaluation or step; false at the end. */
static bool go_on(Run *run)
{
    CoreWorld world = run_world(run);
    const HelloFacts facts = facts_of(run);
    assert_int_equal(world.begin(world.self, &facts, 2), 2);
    int code;
    const char *text;
    const int64_t version = run_version(run);
    const LeaseKind kind = world.next(world.self, version, &code, &text);
    if (kind == LEASE_EVAL)
        evaluate(&world, version);
    else if (kind != LEASE_STOP)
        assert_true(step(&world, version, run_slot_size(run)));
    return kind != LEASE_STOP;
}

/* Trains to the end and closes the run; the digest of its adapter. */
static char *finish(Run *run, const char *folder)
{
    Err err = { 0 };
    while (go_on(run)) {
    }
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

/* Trains until the end; closes and opens the run again after every step when asked to. */
static char *train(const char *folder, bool disturbed)
{
    Err err = { 0 };
    Run *run = open_run(folder, true, NULL, &err);
    assert_non_null(run);
    while (go_on(run)) {
        if (disturbed) {
            const int64_t before = run_version(run);
            run_close(run);
            run = open_run(folder, false, NULL, &err);
            assert_non_null(run);
            assert_int_equal(run_version(run), before);
        }
    }
    assert_int_equal(run_version(run), STEPS);
    return finish(run, folder);
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

/* ---- damaged checkpoints ------------------------------------------------------------------------- */

static const char *const LONGER = "train.num_train_epochs=4"; /* checkpoints 3, 6, 9, 12 */

/* Killed at step 8, with checkpoints 3 and 6. */
static void train_to_eight(const char *folder)
{
    Err err = { 0 };
    Run *run = open_run(folder, true, LONGER, &err);
    assert_non_null(run);
    while (run_version(run) < 8)
        assert_true(go_on(run));
    run_close(run);
}

/* Flips a bit of checkpoint-STEP/NAME's byte at part/parts of it. */
static void flip(const char *folder, int step, const char *name, int part, int parts)
{
    char *path = xprintf("%s/checkpoint-%d/%s", folder, step, name);
    size_t size;
    char *data = file_read(path, &size, NULL);
    assert_non_null(data);
    data[(size - 1) * (size_t)part / (size_t)parts] ^= 4;
    assert_true(file_write(path, data, size, NULL));
    free(data);
    free(path);
}

static void a_damaged_checkpoint_costs_steps_but_no_bits(void **state)
{
    (void)state;
    static const char *const names[] = { "adapter_model.safetensors", "optimizer.safetensors", "trainer_state.json" };
    enum { PARTS = 12 };
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    Err err = { 0 };
    char *want = finish(open_run(folder, true, LONGER, &err), folder);
    const int lines = count_lines(folder);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (int part = 0; part <= PARTS; part++) {
            train_to_eight(folder);
            flip(folder, 6, names[k], part, PARTS);
            Run *run = open_run(folder, false, LONGER, &err);
            assert_non_null(run);
            if (k < 2 && part > PARTS / 2) /* a number of a tensor; elsewhere it may be a byte that says nothing */
                assert_int_equal(run_version(run), 3);
            assert_true(run_version(run) == 3 || run_version(run) == 8);
            assert_true(go_on(run)); /* and killed again, with the damaged one still there */
            const int64_t before = run_version(run);
            run_close(run);
            run = open_run(folder, false, LONGER, &err);
            assert_non_null(run);
            assert_int_equal(run_version(run), before);
            char *got = finish(run, folder);
            assert_string_equal(got, want);
            assert_int_equal(count_lines(folder), lines);
            free(got);
        }
    free(want);
    assert_true(folder_remove(folder, NULL));
}

static void a_checkpoint_that_is_gone_costs_the_same(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    Err err = { 0 };
    char *want = finish(open_run(folder, true, LONGER, &err), folder);
    train_to_eight(folder);
    char *newest = path_join(folder, "checkpoint-6");
    assert_true(folder_remove(newest, &err));
    Run *run = open_run(folder, false, LONGER, &err);
    assert_non_null(run);
    assert_int_equal(run_version(run), 3);
    char *got = finish(run, folder);
    assert_string_equal(got, want);
    free(got);
    free(want);
    free(newest);
    assert_true(folder_remove(folder, NULL));
}

static void with_every_checkpoint_damaged_it_does_not_begin(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    train_to_eight(folder);
    flip(folder, 3, "optimizer.safetensors", 1, 1);
    flip(folder, 6, "adapter_model.safetensors", 1, 1);
    Err err = { 0 };
    assert_null(open_run(folder, false, LONGER, &err));
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.where, "checkpoint-6/adapter_model.safetensors"));
    assert_non_null(strstr(err.what, "is damaged"));
    assert_non_null(strstr(err.hint, "--overwrite"));
    flip(folder, 6, "adapter_model.safetensors", 1, 1); /* nothing else was touched */
    err = (Err){ 0 };
    Run *run = open_run(folder, false, LONGER, &err);
    assert_non_null(run);
    assert_int_equal(run_version(run), 8);
    run_close(run);
    assert_true(folder_remove(folder, NULL));
}

/* Bytes of FOLDER/adapter_model.safetensors; the caller's. */
static char *adapter_of(const char *folder, size_t *size)
{
    char *path = path_join(folder, "adapter_model.safetensors");
    char *data = file_read(path, size, NULL);
    assert_non_null(data);
    free(path);
    return data;
}

static void the_best_model_is_taken_when_its_checkpoint_is_whole(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    gets_worse = true; /* the first one, 3, is the best */
    for (int damaged = 0; damaged < 2; damaged++) {
        Err err = { 0 };
        Run *run = open_run(folder, true, "train.load_best_model_at_end=true", &err);
        assert_non_null(run);
        while (run_version(run) < STEPS)
            assert_true(go_on(run));
        char *checkpoint = xprintf("%s/checkpoint-%d", folder, damaged ? STEPS : 3);
        if (damaged)
            flip(folder, 3, "adapter_model.safetensors", 1, 1);
        free(finish(run, folder));
        size_t size, same;
        char *got = adapter_of(folder, &size), *want = adapter_of(checkpoint, &same);
        assert_int_equal(size, same);
        assert_memory_equal(got, want, size);
        free(got);
        free(want);
        free(checkpoint);
    }
    gets_worse = false;
    assert_true(folder_remove(folder, NULL));
}

/* Killed between a checkpoint and the log that starts from it: the log still holds the steps before. */
static void a_log_may_be_older_than_the_checkpoint(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    Err err = { 0 };
    char *want = train(folder, false), *path = path_join(folder, "wal/log");
    const int lines = count_lines(folder);
    Run *run = open_run(folder, true, NULL, &err);
    assert_non_null(run);
    size_t size = 0;
    char *old = NULL;
    while (run_version(run) < 4) {
        if (run_version(run) == 3) { /* the next call but one writes checkpoint-3 and starts the log anew */
            free(old);
            old = file_read(path, &size, &err);
        }
        assert_true(go_on(run));
    }
    run_close(run);
    assert_true(file_size(path) < (int64_t)size);
    assert_true(file_write(path, old, size, &err));
    run = open_run(folder, false, NULL, &err);
    if (!run)
        fail_msg("%s (%s)", err.what, err.where);
    assert_int_equal(run_version(run), 3);
    char *got = finish(run, folder);
    assert_string_equal(got, want);
    assert_int_equal(count_lines(folder), lines);
    free(got);
    free(want);
    free(old);
    free(path);
    assert_true(folder_remove(folder, NULL));
}

/* ---- refusals ------------------------------------------------------------------------------------ */

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
        cmocka_unit_test(a_damaged_checkpoint_costs_steps_but_no_bits),
        cmocka_unit_test(a_checkpoint_that_is_gone_costs_the_same),
        cmocka_unit_test(with_every_checkpoint_damaged_it_does_not_begin),
        cmocka_unit_test(the_best_model_is_taken_when_its_checkpoint_is_whole),
        cmocka_unit_test(a_log_may_be_older_than_the_checkpoint),
        cmocka_unit_test(another_configuration_in_the_folder_is_refused_by_key),
        cmocka_unit_test(a_run_that_nobody_joined_leaves_nothing),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_named_and_not_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
