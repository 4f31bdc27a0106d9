/* A run from its first HELLO to its files, undisturbed and killed after every step. */
#include "ps/run.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/costs.h"
#include "ps/world.h"
#include "tests/support/folder.h"
#include "tests/support/small_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Trains until the end; closes and opens the run again after every step when asked to. */
static char *train(const char *folder, bool disturbed)
{
    Err err = { 0 };
    Run *run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    while (small_run_go_on(run)) {
        if (disturbed) {
            const int64_t before = run_version(run);
            run_close(run);
            run = small_run_open(folder, false, NULL, &err);
            assert_non_null(run);
            assert_int_equal(run_version(run), before);
        }
    }
    assert_int_equal(run_version(run), SMALL_STEPS);
    return small_run_finish(run, folder);
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
    char *folder = test_folder_new();
    char *calm = train(folder, false);
    assert_int_equal(count_lines(folder), SMALL_STEPS + 2);
    char *disturbed = train(folder, true);
    assert_int_equal(count_lines(folder), SMALL_STEPS + 2);
    assert_int_equal(strlen(calm), 64);
    assert_string_equal(calm, disturbed);
    char *wal = path_join(folder, "wal");
    assert_false(file_is_folder(wal));
    free(wal);
    free(calm);
    free(disturbed);
    test_folder_drop(folder);
}

/* ---- what a run's end leaves ---------------------------------------------------------------------- */

static bool is_there(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    const bool is = file_exists(path);
    free(path);
    return is;
}

static void starting_anew_takes_all_that_a_run_wrote_and_nothing_else(void **state)
{
    (void)state;
    enum { GOES = 5 }; /* the first ones are not there when a new run is opened */
    static const char *const wrote[] = { "README.md",      "loss.svg",     "labels.json",
                                         "tokenizer.json", "summary.json", "run.yaml",
                                         "metrics.jsonl",  "checkpoint-6", "adapter_config.json" };
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *own = path_join(folder, "notes.txt"), *card = path_join(folder, "README.md");
    Err err = { 0 };
    free(train(folder, false));
    for (size_t i = 0; i < sizeof wrote / sizeof *wrote; i++)
        if (!is_there(folder, wrote[i]))
            fail_msg("a run writes no %s", wrote[i]);
    assert_true(file_write(own, "mine", 4, NULL));
    Run *run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    for (size_t i = 0; i < GOES; i++)
        if (is_there(folder, wrote[i]))
            fail_msg("%s of the older run stays", wrote[i]);
    run_close(run); /* nobody joined it */
    assert_true(is_there(folder, "notes.txt"));
    assert_false(is_there(folder, "run.yaml"));
    /* a folder without a run.yaml is the user's, and so is its README.md */
    assert_true(file_write(card, "mine", 4, NULL));
    run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    run_close(run);
    assert_true(is_there(folder, "README.md"));
    free(train(folder, false)); /* nor does a run that ends there, or is begun anew, take it */
    run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    run_close(run);
    size_t size;
    char *text = file_read(card, &size, &err);
    assert_non_null(text);
    assert_string_equal(text, "mine");
    free(text);
    free(card);
    free(own);
    assert_true(folder_remove(folder, NULL));
}

static int64_t figure_said(const char *folder, const char *key)
{
    Err err = { 0 };
    char *path = path_join(folder, "summary.json");
    json_t *summary = json_file(path, &err);
    assert_non_null(summary);
    const int64_t bytes = json_get_int(summary, key, -1, &err);
    json_decref(summary);
    free(path);
    return bytes;
}

static void what_was_counted_outlives_a_kill_at_the_last_step(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    Err err = { 0 };
    Run *run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    while (small_run_go_on(run))
        costs_count(
            run,
            &(CostsSeen){
                .up = 10, .down = 10, .clients = 1, .ranks = 2, .worker_bytes = 1000000 * (run_version(run) + 1) });
    run_close(run); /* killed: no worker comes back */
    run = small_run_open(folder, false, NULL, &err);
    assert_non_null(run);
    costs_count(run, &(CostsSeen){ .up = 7, .down = 5 });
    free(small_run_finish(run, folder));
    assert_int_equal(figure_said(folder, "peak_rss_worker"), 1000000 * (SMALL_STEPS + 1));
    assert_int_equal(figure_said(folder, "wire_bytes_up"), 17);
    assert_int_equal(figure_said(folder, "wire_bytes_down"), 15);
    assert_int_equal(figure_said(folder, "replicas"), 1);
    assert_int_equal(figure_said(folder, "ranks"), 2);
    /* one that cannot be read is none, and no fault */
    run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    assert_true(small_run_go_on(run));
    char *path = path_join(folder, "wal/costs");
    assert_true(file_write(path, "what", 4, NULL));
    run_close(run);
    run = small_run_open(folder, false, NULL, &err);
    assert_non_null(run);
    costs_count(run, &(CostsSeen){ .clients = 1, .ranks = 1, .worker_bytes = 5000 });
    free(small_run_finish(run, folder));
    assert_int_equal(figure_said(folder, "peak_rss_worker"), 5000);
    free(path);
    assert_true(folder_remove(folder, NULL));
}

/* ---- what was planned ------------------------------------------------------------------------------ */

static void clients_who_share_a_step_expect_it_together(void **state)
{
    (void)state;
    Foreseen all = { 0 };
    const Foreseen fast = { 1.5, 300, 20 }, slow = { 3, 500, 30 },
                   bad[] = { { NAN, 1, 1 }, { -1, 1, 1 }, { 1e12, 1, 1 } };
    costs_foresee(&all, &fast);
    assert_true(all.seconds == 1.5 && all.memory == 300 && all.bytes == 20);
    costs_foresee(&all, &slow);
    for (size_t i = 0; i < LENGTH(bad); i++) {
        assert_false(costs_may_foresee(&bad[i]));
        costs_foresee(&all, &bad[i]);
    }
    assert_true(fabs(all.seconds - 1) < 1e-12 && all.memory == 800 && all.bytes == 50);
}

static double planned(const char *folder, const char *which, const char *key)
{
    Err err = { 0 };
    char *path = path_join(folder, "summary.json");
    json_t *summary = json_file(path, &err);
    assert_non_null(summary);
    const double value = json_number_value(json_object_get(json_object_get(summary, which), key));
    json_decref(summary);
    free(path);
    return value;
}

static void the_summary_has_the_plan_of_the_most_beside_what_was(void **state)
{
    (void)state;
    char folder[] = "/tmp/run_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    Err err = { 0 };
    Run *run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    const Foreseen two = { 0.25, 4000, 90 }, one = { 0.5, 2000, 45 };
    assert_true(small_run_go_on(run));
    costs_count(run, &(CostsSeen){ .up = 100, .down = 50, .worker_bytes = 4100, .foreseen = two });
    costs_count(run, &(CostsSeen){ .up = 200, .down = 100, .worker_bytes = 4100, .foreseen = one }); /* one left */
    run_close(run); /* killed */
    run = small_run_open(folder, false, NULL, &err);
    assert_non_null(run);
    free(small_run_finish(run, folder));
    assert_true(fabs(planned(folder, "plan", "step_seconds") - 0.25) < 1e-9);
    assert_true(planned(folder, "plan", "memory") == 4000 && planned(folder, "plan", "bytes") == 90);
    assert_true(planned(folder, "measured", "memory") == 4100);
    assert_true(fabs(planned(folder, "measured", "bytes") - 300.0 / SMALL_STEPS) < 1e-9);
    assert_true(planned(folder, "measured", "step_seconds") > 0);
    assert_true(folder_remove(folder, NULL));
}

/* ---- damaged checkpoints ------------------------------------------------------------------------- */

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
    static const char *const names[] = { "adapter_model.safetensors", "optimizer.safetensors", "trainer_state.json",
                                         "lora_state.json" };
    enum { PARTS = 12 };
    char *folder = test_folder_new();
    Err err = { 0 };
    char *want = small_run_finish(small_run_open(folder, true, SMALL_LONGER, &err), folder);
    const int lines = count_lines(folder);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (int part = 0; part <= PARTS; part++) {
            small_run_to_eight(folder);
            flip(folder, 6, names[k], part, PARTS);
            Run *run = small_run_open(folder, false, SMALL_LONGER, &err);
            assert_non_null(run);
            if (k < 2 && part > PARTS / 2) /* a number of a tensor; elsewhere it may be a byte that says nothing */
                assert_int_equal(run_version(run), 3);
            assert_true(run_version(run) == 3 || run_version(run) == 8);
            assert_true(small_run_go_on(run)); /* and killed again, with the damaged one still there */
            const int64_t before = run_version(run);
            run_close(run);
            run = small_run_open(folder, false, SMALL_LONGER, &err);
            assert_non_null(run);
            assert_int_equal(run_version(run), before);
            char *got = small_run_finish(run, folder);
            assert_string_equal(got, want);
            assert_int_equal(count_lines(folder), lines);
            free(got);
        }
    free(want);
    test_folder_drop(folder);
}

static void a_checkpoint_that_is_gone_costs_the_same(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    Err err = { 0 };
    char *want = small_run_finish(small_run_open(folder, true, SMALL_LONGER, &err), folder);
    small_run_to_eight(folder);
    char *newest = path_join(folder, "checkpoint-6");
    assert_true(folder_remove(newest, &err));
    Run *run = small_run_open(folder, false, SMALL_LONGER, &err);
    assert_non_null(run);
    assert_int_equal(run_version(run), 3);
    char *got = small_run_finish(run, folder);
    assert_string_equal(got, want);
    free(got);
    free(want);
    free(newest);
    test_folder_drop(folder);
}

static void with_every_checkpoint_damaged_it_does_not_begin(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    small_run_to_eight(folder);
    flip(folder, 3, "optimizer.safetensors", 1, 1);
    flip(folder, 6, "adapter_model.safetensors", 1, 1);
    Err err = { 0 };
    assert_null(small_run_open(folder, false, SMALL_LONGER, &err));
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.where, "checkpoint-6/adapter_model.safetensors"));
    assert_non_null(strstr(err.what, "is damaged"));
    assert_non_null(strstr(err.hint, "--overwrite"));
    flip(folder, 6, "adapter_model.safetensors", 1, 1); /* nothing else was touched */
    err = (Err){ 0 };
    Run *run = small_run_open(folder, false, SMALL_LONGER, &err);
    assert_non_null(run);
    assert_int_equal(run_version(run), 8);
    run_close(run);
    test_folder_drop(folder);
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
    char *folder = test_folder_new();
    small_run_gets_worse = true; /* the first one, 3, is the best */
    for (int damaged = 0; damaged < 2; damaged++) {
        Err err = { 0 };
        Run *run = small_run_open(folder, true, "train.load_best_model_at_end=true", &err);
        assert_non_null(run);
        while (run_version(run) < SMALL_STEPS)
            assert_true(small_run_go_on(run));
        char *checkpoint = xprintf("%s/checkpoint-%d", folder, damaged ? SMALL_STEPS : 3);
        if (damaged)
            flip(folder, 3, "adapter_model.safetensors", 1, 1);
        free(small_run_finish(run, folder));
        size_t size, same;
        char *got = adapter_of(folder, &size), *want = adapter_of(checkpoint, &same);
        assert_int_equal(size, same);
        assert_memory_equal(got, want, size);
        free(got);
        free(want);
        free(checkpoint);
    }
    small_run_gets_worse = false;
    test_folder_drop(folder);
}

/* Killed between a checkpoint and the log that starts from it: the log still holds the steps before. */
static void a_log_may_be_older_than_the_checkpoint(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    Err err = { 0 };
    char *want = train(folder, false), *path = path_join(folder, "wal/log");
    const int lines = count_lines(folder);
    Run *run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    size_t size = 0;
    char *old = NULL;
    while (run_version(run) < 4) {
        if (run_version(run) == 3) { /* the next call but one writes checkpoint-3 and starts the log anew */
            free(old);
            old = file_read(path, &size, &err);
        }
        assert_true(small_run_go_on(run));
    }
    run_close(run);
    assert_true(file_size(path) < (int64_t)size);
    assert_true(file_write(path, old, size, &err));
    run = small_run_open(folder, false, NULL, &err);
    if (!run)
        fail_msg("%s (%s)", err.what, err.where);
    assert_int_equal(run_version(run), 3);
    char *got = small_run_finish(run, folder);
    assert_string_equal(got, want);
    assert_int_equal(count_lines(folder), lines);
    free(got);
    free(want);
    free(old);
    free(path);
    test_folder_drop(folder);
}

/* ---- refusals ------------------------------------------------------------------------------------ */

static void another_configuration_in_the_folder_is_refused_by_key(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    Err err = { 0 };
    Run *nobody_joined = small_run_open(folder, false, "train.seed=7", &err);
    assert_non_null(nobody_joined);
    run_close(nobody_joined);
    Run *run = small_run_open(folder, false, NULL, &err);
    assert_non_null(run);
    CoreWorld world = world_of(run);
    const HelloFacts facts = small_run_facts(run);
    assert_int_equal(world.begin(world.self, &facts, 2, &(uint64_t){ 0 }), 2);
    run_close(run);
    assert_null(small_run_open(folder, false, "train.learning_rate=0.5", &err));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.what, "train.learning_rate (0.5 here, 0.02 there)"));
    test_folder_drop(folder);
}

static void a_run_that_nobody_joined_leaves_nothing(void **state)
{
    (void)state;
    char *parent = test_folder_new();
    char *folder = path_join(parent, "out"), *mine = path_join(parent, "notes.txt");
    Err err = { 0 };
    Run *run = small_run_open(folder, false, NULL, &err);
    assert_non_null(run);
    run_close(run);
    assert_false(file_exists(folder));
    assert_true(file_write(mine, "kept", 4, &err));
    run = small_run_open(parent, false, NULL, &err); /* a folder that was there stays */
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
    test_folder_drop(parent);
}

static void a_gradient_that_is_not_finite_is_named_and_not_applied(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    Err err = { 0 };
    Run *run = small_run_open(folder, false, NULL, &err);
    assert_non_null(run);
    CoreWorld world = world_of(run);
    const HelloFacts facts = small_run_facts(run);
    world.begin(world.self, &facts, 2, &(uint64_t){ 0 });
    float *gradient = xcalloc((size_t)run_slot_size(run), sizeof(float));
    gradient[0] = NAN;
    int code = 0;
    const char *text = NULL;
    assert_false(world.apply(world.self, &(StepSums){ 0, gradient, 16, 1, 1.0, 0, 0 }, &code, &text));
    assert_int_equal(code, 5);
    assert_non_null(strstr(text, "layer.0.attention.self.query.lora_A"));
    assert_non_null(strstr(text, "step 1"));
    assert_int_equal(run_version(run), 0);
    free(gradient);
    run_close(run);
    test_folder_drop(folder);
}

/* values[0] of the run, as its next worker gets them. */
static float first_value(Run *run)
{
    CoreWorld world = world_of(run);
    return world.values(world.self)[0];
}

static void apply_absurd(Run *run, float bad)
{
    CoreWorld world = world_of(run);
    float *gradient = xcalloc((size_t)run_slot_size(run), sizeof(float));
    gradient[0] = bad;
    int code = 0;
    const char *text = NULL;
    const int64_t version = run_version(run);
    assert_true(world.apply(world.self, &(StepSums){ version, gradient, 16, 300, 1.0, version, 0 }, &code, &text));
    assert_int_equal(run_version(run), version + 1);
    free(gradient);
}

static void a_step_that_is_skipped_changes_no_value_and_is_replayed(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *digests[2];
    Err err = { 0 };
    for (int killed = 0; killed < 2; killed++) {
        Run *run = small_run_open(folder, true, "train.on_nan=skip", &err);
        assert_non_null(run);
        assert_true(small_run_go_on(run));
        const float before = first_value(run);
        apply_absurd(run, killed ? NAN : 1e30F);
        assert_true(first_value(run) == before);
        if (killed) {
            run_close(run);
            run = small_run_open(folder, false, "train.on_nan=skip", &err);
            assert_non_null(run);
            assert_int_equal(run_version(run), 2);
            assert_true(first_value(run) == before);
        }
        digests[killed] = small_run_finish(run, folder);
        assert_int_equal(figure_said(folder, "skipped_steps"), 1);
    }
    assert_string_equal(digests[0], digests[1]);
    free(digests[0]);
    free(digests[1]);
    test_folder_drop(folder);
}

static PushSum push_of(const Run *run, const float *gradient, uint64_t client, bool others)
{
    return (PushSum){ .step = run_version(run),
                      .range = { 0, 2 },
                      .gradient = gradient,
                      .weight = 16,
                      .loss = 1,
                      .client = client,
                      .host = client == 1 ? "here" : "there",
                      .others = others };
}

static void who_sends_what_cannot_be_is_named_and_what_follows_is_as_the_run_file_says(void **state)
{
    (void)state;
    static const struct {
        const char *policy;
        PushVerdict first, second, alone;
    } rows[] = {
        { "train.on_nan=stop", PUSH_ENDS, PUSH_ENDS, PUSH_ENDS },
        { "train.on_nan=skip", PUSH_COUNTS, PUSH_COUNTS, PUSH_COUNTS },
        { "train.on_nan=quarantine", PUSH_REFUSED, PUSH_ENDS, PUSH_ENDS },
    };
    char *folder = test_folder_new();
    Err err = { 0 };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Run *run = small_run_open(folder, true, rows[i].policy, &err);
        assert_non_null(run);
        assert_true(small_run_go_on(run));
        CoreWorld world = world_of(run);
        float *gradient = xcalloc((size_t)run_slot_size(run), sizeof(float));
        PushSum push = push_of(run, gradient, 1, true);
        const char *text = NULL;
        assert_int_equal(world.weigh(world.self, &push, &text), PUSH_COUNTS);
        gradient[0] = 1e30F;
        push.others = false;
        assert_int_equal(world.weigh(world.self, &push, &text), rows[i].alone);
        push.others = true;
        assert_int_equal(world.weigh(world.self, &push, &text), rows[i].first);
        if (rows[i].first != PUSH_COUNTS) {
            assert_non_null(strstr(text, "layer.0.attention.self.query.lora_A"));
            assert_non_null(strstr(text, "micro-batches 0 to 1 of step 2, from here (client 0000000000000001)"));
        }
        push = push_of(run, gradient, 2, true);
        assert_int_equal(world.weigh(world.self, &push, &text), rows[i].second);
        free(gradient);
        run_close(run);
    }
    test_folder_drop(folder);
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_killed_after_every_step_ends_with_the_same_adapter),
        cmocka_unit_test(starting_anew_takes_all_that_a_run_wrote_and_nothing_else),
        cmocka_unit_test(what_was_counted_outlives_a_kill_at_the_last_step),
        cmocka_unit_test(clients_who_share_a_step_expect_it_together),
        cmocka_unit_test(the_summary_has_the_plan_of_the_most_beside_what_was),
        cmocka_unit_test(a_damaged_checkpoint_costs_steps_but_no_bits),
        cmocka_unit_test(a_checkpoint_that_is_gone_costs_the_same),
        cmocka_unit_test(with_every_checkpoint_damaged_it_does_not_begin),
        cmocka_unit_test(the_best_model_is_taken_when_its_checkpoint_is_whole),
        cmocka_unit_test(a_log_may_be_older_than_the_checkpoint),
        cmocka_unit_test(another_configuration_in_the_folder_is_refused_by_key),
        cmocka_unit_test(a_run_that_nobody_joined_leaves_nothing),
        cmocka_unit_test(a_step_that_is_skipped_changes_no_value_and_is_replayed),
        cmocka_unit_test(who_sends_what_cannot_be_is_named_and_what_follows_is_as_the_run_file_says),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_named_and_not_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
