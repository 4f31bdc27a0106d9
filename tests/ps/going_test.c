/* A run that goes on in its folder: longer, with other settings, from where it was broken off or complete. */
#include "ps/run.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/run_state.h"
#include "tests/support/folder.h"
#include "tests/support/small_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 7 };

/* The small run with these settings, up to MOST of them (NULL-terminated). */
static Run *try_open(const char *folder, bool overwrite, const char *const *settings, Err *err)
{
    char *output = xprintf("train.output_dir=%s", folder);
    const char *overrides[MOST + 1] = { output };
    int count = 1;
    for (; settings && *settings; settings++)
        overrides[count++] = *settings;
    Config config = { 0 };
    const ConfigSources sources = { .file = "tests/golden/bert-seqcls/run.yaml",
                                    .overrides = overrides,
                                    .override_count = count };
    assert_true(config_load(&config, &sources, err));
    *err = (Err){ 0 };
    Run *run = run_open(&config, overwrite, err);
    config_release(&config);
    free(output);
    return run;
}

#define SETTINGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static Run *open_run(const char *folder, bool overwrite, const char *const *settings)
{
    Err err = { 0 };
    Run *run = try_open(folder, overwrite, settings, &err);
    if (!run)
        fail_msg("%s (%s)", err.what, err.where);
    return run;
}

/* The SHA-256 of a whole run's adapter. */
static char *whole(const char *folder, const char *const *settings)
{
    return small_run_finish(open_run(folder, true, settings), folder);
}

static void go_to(Run *run, int64_t version)
{
    while (run_version(run) < version)
        assert_true(small_run_go_on(run));
}

static json_t *state_of(const char *folder, const char *name)
{
    Err err = { 0 };
    char *path = path_join(folder, name);
    json_t *state = json_file(path, &err);
    assert_non_null(state);
    free(path);
    return state;
}

static bool has_checkpoint(const char *folder, int step)
{
    char *path = xprintf("%s/checkpoint-%d", folder, step);
    const bool is = file_is_folder(path);
    free(path);
    return is;
}

/* ---- longer -------------------------------------------------------------------------------------- */

static const char *const constant = "train.lr_scheduler_type=constant";
static const char *const at_once = "train.warmup_steps=0";
static const char *const two = "train.num_train_epochs=2", *const by_epoch = "train.save_strategy=epoch",
                         *const four = "train.num_train_epochs=4";

/* Under a constant rate, the longer run is the run that was begun so, bit for bit. */
static void a_longer_run_is_the_one_that_was_begun_so(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    char *want = whole(folder, SETTINGS(constant, at_once, by_epoch, four)),
         *short_one = whole(folder, SETTINGS(constant, at_once, two));
    assert_string_not_equal(want, short_one);
    free(short_one);
    const char *const *const longer[] = { SETTINGS(constant, at_once, by_epoch, four),
                                          SETTINGS(constant, at_once, two, "train.max_steps=12") };
    for (int way = 0; way < 2; way++)
        for (int at = 0; at <= SMALL_STEPS + 1; at++) { /* broken off behind each step, then complete */
            Run *run = open_run(folder, true, SETTINGS(constant, at_once, by_epoch, two));
            go_to(run, at < SMALL_STEPS ? at : SMALL_STEPS);
            if (at == 0)
                (void)small_run_go_on(run); /* it begins */
            if (at <= SMALL_STEPS)
                run_close(run);
            else
                free(small_run_finish(run, folder));
            run = open_run(folder, false, longer[way]);
            assert_false(run_is_complete(run));
            assert_true(run_version(run) >= (at < SMALL_STEPS ? at : SMALL_STEPS));
            if (at % 2) { /* and once more, with the new length */
                run_close(run);
                run = open_run(folder, false, longer[way]);
            }
            char *got = small_run_finish(run, folder);
            assert_string_equal(got, want);
            free(got);
        }
    free(want);
    test_folder_drop(folder);
}

/* What is applied is applied: steps of the log keep the rate that they had, wherever it is opened. */
static void steps_that_were_made_keep_their_rate(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    char *rates[2];
    for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
        const char *saving = checkpointed ? "train.save_strategy=steps" : "train.save_strategy=no";
        Run *run =
            open_run(folder, true, SETTINGS(two, at_once, saving, "train.save_steps=1", "train.logging_steps=1"));
        go_to(run, 4);
        run_close(run);
        for (int again = 0; again < 3; again++) { /* the length is settled once */
            run =
                open_run(folder, false, SETTINGS(four, at_once, saving, "train.save_steps=1", "train.logging_steps=1"));
            assert_int_equal(run_version(run), 4);
            assert_int_equal(run->total, 12);
            if (again < 2)
                run_close(run);
        }
        rates[checkpointed] = small_run_finish(run, folder);
        json_t *file = state_of(folder, "trainer_state.json"), *history = json_object_get(file, "log_history");
        for (size_t i = 0, seen = 0; i < json_array_size(history); i++) {
            const json_t *rate = json_object_get(json_array_get(history, i), "learning_rate");
            if (!rate)
                continue;
            const double left = seen < 4 ? (6.0 - (double)seen) / 6 : (12.0 - (double)seen) / 12;
            assert_true(fabs(json_number_value(rate) - 0.02 * left) < 1e-12);
            seen++;
        }
        json_decref(file);
    }
    assert_string_equal(rates[0], rates[1]);
    free(rates[0]);
    free(rates[1]);
    test_folder_drop(folder);
}

/* run.yaml of the folder, edited and used as the run file. */
static void a_length_edited_in_the_folder_changes_no_step_that_was_made(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    const char *const *const longer = SETTINGS(four, "train.save_strategy=no");
    char *hashes[2];
    for (int edited = 0; edited < 2; edited++) {
        Err err = { 0 };
        Run *run = open_run(folder, true, SETTINGS(two, "train.save_strategy=no"));
        go_to(run, 4);
        run_close(run);
        if (edited) {
            char *path = path_join(folder, "run.yaml"), *text = file_read(path, NULL, &err);
            char *at = strstr(text, "num_train_epochs: 2.0");
            assert_non_null(at);
            at[strlen("num_train_epochs: ")] = '4';
            assert_true(file_write(path, text, strlen(text), &err));
            free(text);
            free(path);
        }
        hashes[edited] = small_run_finish(open_run(folder, false, longer), folder);
    }
    assert_string_equal(hashes[0], hashes[1]);
    free(hashes[0]);
    free(hashes[1]);
    test_folder_drop(folder);
}

static void expect_refusal(const char *folder, const char *const *settings, const char *what, const char *hint)
{
    Err err = { 0 };
    assert_null(try_open(folder, false, settings, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    if (!strstr(err.what, what) || !strstr(err.hint, hint))
        fail_msg("'%s' (%s), not '%s' (%s)", err.what, err.hint, what, hint);
}

static void what_cannot_go_on_is_refused_with_the_reason(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    Err err = { 0 };
    Run *run = open_run(folder, true, SETTINGS(two));
    go_to(run, 4);
    run_close(run);
    expect_refusal(folder, SETTINGS("train.max_steps=3"), "has made 4 steps, and train.max_steps is 3 steps",
                   "4 steps or more");
    expect_refusal(folder, SETTINGS("train.num_train_epochs=1"), "and train.num_train_epochs is 3 steps",
                   "4 steps or more");
    expect_refusal(
        folder, SETTINGS(four, "train.learning_rate=0.5", "train.seed=7", "train.warmup_steps=2"),
        "train.learning_rate (0.5 here, 0.02 there); train.warmup_steps (2 here, 5 there); train.seed (7 here, ",
        "may only change its length, logging, evaluations (but not their rows), generation and checkpoints");
    expect_refusal(folder, SETTINGS(four, "data.validation=other.tsv"), "data.validation (", "lora eval /");
    expect_refusal(folder, SETTINGS(four, "data.max_length=17", "data.validation=other.tsv"), "data.validation (",
                   " --data.validation=FILE");
    run = open_run(folder, false, SETTINGS("train.max_steps=4")); /* it may end at once */
    free(small_run_finish(run, folder));
    run = open_run(folder, false, SETTINGS("train.max_steps=4"));
    assert_true(run_is_complete(run));
    run_close(run);
    expect_refusal(folder, SETTINGS("train.max_steps=2"), "has made 4 steps", "");
    char *checkpoint = path_join(folder, "checkpoint-4");
    assert_true(folder_remove(checkpoint, &err));
    free(checkpoint);
    expect_refusal(folder, SETTINGS(four),
                   "the checkpoint of its last step, 4, from which it would go on, is not there", "lora.init_adapter=");
    run = open_run(folder, false, SETTINGS("train.max_steps=4")); /* and nothing was changed */
    assert_true(run_is_complete(run));
    run_close(run);
    test_folder_drop(folder);
}

/* ---- the best model ------------------------------------------------------------------------------ */

static const char *const best = "train.load_best_model_at_end=true";

static int64_t best_step(const char *folder)
{
    Err err = { 0 };
    json_t *file = state_of(folder, "trainer_state.json");
    const int64_t step = json_get_int(file, "best_global_step", -1, &err);
    const char *path = json_get_string(file, "best_model_checkpoint", "", &err);
    assert_true(step < 0 || file_is_folder(path));
    json_decref(file);
    return step;
}

/* The final adapter is that of checkpoint-STEP, byte for byte. */
static void expect_adapter(const char *folder, int step)
{
    char *paths[] = { xprintf("%s/adapter_model.safetensors", folder),
                      xprintf("%s/checkpoint-%d/adapter_model.safetensors", folder, step) };
    size_t sizes[2];
    char *data[2];
    for (int i = 0; i < 2; i++) {
        data[i] = file_read(paths[i], &sizes[i], NULL);
        assert_non_null(data[i]);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(data[0], data[1], sizes[0]);
    for (int i = 0; i < 2; i++) {
        free(data[i]);
        free(paths[i]);
    }
}

static void the_best_model_is_kept_whatever_the_strategies_are(void **state)
{
    (void)state;
    static const char *const saving[][3] = {
        { "train.save_strategy=no", NULL, NULL },
        { "train.save_strategy=epoch", "train.save_total_limit=1", NULL },
        { "train.save_strategy=steps", "train.save_steps=5", "train.save_total_limit=1" },
        { "train.save_strategy=steps", "train.save_steps=1", "train.save_total_limit=2" }
    };
    char *folder = test_folder_new();
    for (int worse = 0; worse < 2; worse++)
        for (size_t i = 0; i < sizeof saving / sizeof *saving; i++) {
            small_run_gets_worse = worse;
            const char *settings[] = {
                four,         best, "train.eval_strategy=steps", "train.eval_steps=2", saving[i][0], saving[i][1],
                saving[i][2], NULL
            };
            Run *run = open_run(folder, true, settings);
            while (small_run_go_on(run)) {
                if (run->state.best_step >= 0 && run->state.best_step < run_version(run))
                    assert_true(has_checkpoint(folder, (int)run->state.best_step));
            }
            free(small_run_finish(run, folder));
            assert_int_equal(best_step(folder), worse ? 2 : 12);
            expect_adapter(folder, worse ? 2 : 12);
            int kept = 0;
            for (int step = 0; step <= 12; step++)
                kept += has_checkpoint(folder, step);
            assert_true(kept <= (i > 0 ? 2 : 6)); /* as many were the best, or save_total_limit and the best */
        }
    small_run_gets_worse = false;
    test_folder_drop(folder);
}

/* Turned on late: the best of what is kept. A checkpoint that is gone: the next best. */
static void the_best_of_what_is_kept_is_taken(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    Err err = { 0 };
    small_run_gets_worse = true;
    Run *run = open_run(folder, true, SETTINGS(four, "train.save_strategy=epoch", "train.save_total_limit=2"));
    go_to(run, 11);
    run_close(run);
    assert_false(has_checkpoint(folder, 3)); /* the best one */
    run = open_run(folder, false, SETTINGS(four, "train.save_strategy=epoch", "train.save_total_limit=2", best));
    assert_int_equal(run->state.best_step, 6);
    free(small_run_finish(run, folder));
    assert_int_equal(best_step(folder), 6);
    expect_adapter(folder, 6);

    run = open_run(folder, true, SETTINGS(four, "train.save_strategy=epoch", best));
    go_to(run, 11);
    char *checkpoint = path_join(folder, "checkpoint-3");
    assert_true(folder_remove(checkpoint, &err));
    free(checkpoint);
    free(small_run_finish(run, folder));
    assert_int_equal(best_step(folder), 6);
    expect_adapter(folder, 6);
    small_run_gets_worse = false;
    test_folder_drop(folder);
}

/* By loss the newest is the best, by the rule of the other metric the first. */
static void another_metric_finds_another_best(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    Run *run = open_run(folder, true, SETTINGS(four, "train.save_strategy=epoch", best));
    go_to(run, 11);
    assert_int_equal(run->state.best_step, 9);
    run_close(run);
    for (int i = 0; i < 2; i++) { /* and again, from the same checkpoint */
        run = open_run(folder, false,
                       SETTINGS(four, "train.save_strategy=epoch", best, "train.metric_for_best_model=accuracy"));
        assert_int_equal(run->state.best_step, 3); /* all are 1: the first */
        assert_int_equal(run->state.worse, 2);
        run_close(run);
    }
    test_folder_drop(folder);
}

static void a_run_that_stopped_early_goes_on_with_more_patience(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    small_run_gets_worse = true;
    char *want = whole(folder, SETTINGS(four, "train.save_strategy=epoch"));
    free(whole(folder, SETTINGS(four, "train.save_strategy=epoch", "train.early_stopping_patience=1")));
    Run *run =
        open_run(folder, false,
                 SETTINGS("train.num_train_epochs=5", "train.save_strategy=epoch", "train.early_stopping_patience=1"));
    assert_true(run_is_complete(run)); /* a longer one would stop there, too */
    assert_int_equal(run_version(run), 6);
    run_close(run);
    run = open_run(folder, false, SETTINGS(four, "train.save_strategy=epoch"));
    assert_false(run_is_complete(run));
    assert_int_equal(run_version(run), 6);
    char *got = small_run_finish(run, folder);
    assert_string_equal(got, want);
    free(got);
    free(want);
    small_run_gets_worse = false;
    test_folder_drop(folder);
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_longer_run_is_the_one_that_was_begun_so),
        cmocka_unit_test(steps_that_were_made_keep_their_rate),
        cmocka_unit_test(a_length_edited_in_the_folder_changes_no_step_that_was_made),
        cmocka_unit_test(what_cannot_go_on_is_refused_with_the_reason),
        cmocka_unit_test(the_best_model_is_kept_whatever_the_strategies_are),
        cmocka_unit_test(the_best_of_what_is_kept_is_taken),
        cmocka_unit_test(another_metric_finds_another_best),
        cmocka_unit_test(a_run_that_stopped_early_goes_on_with_more_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
