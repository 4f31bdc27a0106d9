/* A learning rate that follows evaluations, beside torch's (golden/schedules/plateau.py): undisturbed, and killed behind
 * every step and evaluation, with checkpoints and from the log alone. */
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

enum { EPOCHS = 18, PER_EPOCH = 3 };

/* A line of plateau.jsonl. */
typedef struct Told {
    json_t *row;
    double losses[EPOCHS];
    char *settings;
} Told;

static Told tell(int number)
{
    Err err = { 0 };
    char *text = file_read("tests/golden/schedules/plateau.jsonl", NULL, &err), *rest = NULL;
    assert_non_null(text);
    char *line = strtok_r(text, "\n", &rest);
    for (int i = 0; line && i < number; i++)
        line = strtok_r(NULL, "\n", &rest);
    assert_non_null(line);
    Told told = { .row = json_bytes(line, strlen(line), "a row", &err) };
    assert_non_null(told.row);
    for (size_t i = 0; i < EPOCHS; i++)
        told.losses[i] = json_number_value(json_array_get(json_object_get(told.row, "metrics"), i));
    char *options = json_dumps(json_object_get(told.row, "lr_scheduler_kwargs"), 0);
    told.settings = xprintf("train.lr_scheduler_kwargs=%s", options);
    free(options);
    free(text);
    return told;
}

static Run *open_by(const char *metric, const char *folder, const Told *told, const char *saving, bool overwrite)
{
    Err err = { 0 };
    char *output = xprintf("train.output_dir=%s", folder), *epochs = xprintf("train.num_train_epochs=%d", EPOCHS);
    const char *overrides[] = { output,
                                metric,
                                epochs,
                                saving,
                                told->settings,
                                "train.lr_scheduler_type=reduce_lr_on_plateau",
                                "train.warmup_steps=0",
                                "train.eval_strategy=epoch",
                                "train.logging_steps=1",
                                "train.learning_rate=1e-2",
                                "train.weight_decay=0",
                                "train.loraplus_lr_ratio=16" };
    Config config = { 0 };
    const ConfigSources sources = { .file = "tests/golden/bert-seqcls/run.yaml",
                                    .overrides = overrides,
                                    .override_count = sizeof overrides / sizeof *overrides };
    if (!config_load(&config, &sources, &err))
        fail_msg("%s (%s)", err.what, err.where);
    Run *run = run_open(&config, overwrite, &err);
    if (!run)
        fail_msg("%s (%s)", err.what, err.where);
    free(output);
    free(epochs);
    return run;
}

static Run *open_run(const char *folder, const Told *told, const char *saving, bool overwrite)
{
    return open_by("train.metric_for_best_model=loss", folder, told, saving, overwrite);
}

/* Step k, 0-based, has the rate behind the evaluation before it. */
static void check_rates(const char *folder, const Told *told)
{
    Err err = { 0 };
    char *path = path_join(folder, "trainer_state.json");
    json_t *state = json_file(path, &err);
    assert_non_null(state);
    const json_t *history = json_object_get(state, "log_history"),
                 *after = json_object_get(told->row, "learning_rates_after");
    size_t k = 0;
    for (size_t i = 0; i < json_array_size(history); i++) {
        const json_t *got = json_object_get(json_array_get(history, i), "learning_rate");
        if (!got)
            continue;
        const double want =
            k < PER_EPOCH ? 1e-2 : json_number_value(json_array_get(json_array_get(after, k / PER_EPOCH - 1), 0));
        if (!(fabs(json_number_value(got) - want) <= 1e-14))
            fail_msg("step %zu: %.17g, should be %.17g", k + 1, json_number_value(got), want);
        k++;
    }
    assert_int_equal(k, EPOCHS * PER_EPOCH);
    json_decref(state);
    free(path);
}

/* The digest of its adapter, the caller's. */
static char *train(const char *folder, const Told *told, const char *saving, bool disturbed)
{
    Run *run = open_run(folder, told, saving, true);
    while (small_run_go_on(run))
        if (disturbed) {
            const Plateau before = run->state.plateau;
            run_close(run);
            run = open_run(folder, told, saving, false);
            const Plateau *now = &run->state.plateau;
            assert_true(now->seen == before.seen && now->best == before.best && now->bad == before.bad);
            assert_true(now->cooldown == before.cooldown && now->reduced == before.reduced);
        }
    char *digest = small_run_finish(run, folder);
    check_rates(folder, told);
    return digest;
}

static void check(int row)
{
    char *folder = test_folder_new();
    const Told told = tell(row);
    small_run_losses = told.losses;
    char *calm = train(folder, &told, "train.save_strategy=no", false);
    static const char *const savings[] = { "train.save_strategy=no", "train.save_strategy=epoch" };
    for (int i = 0; i < 2; i++) {
        char *disturbed = train(folder, &told, savings[i], true);
        assert_string_equal(disturbed, calm);
        free(disturbed);
    }
    small_run_losses = NULL;
    free(calm);
    free(told.settings);
    json_decref(told.row);
    test_folder_drop(folder);
}

static void rates_of_steps_are_torchs_whoever_is_killed(void **state)
{
    (void)state;
    check(2);
}

static void a_cooldown_outlives_a_kill(void **state)
{
    (void)state;
    check(5);
}

/* Every loss is better than the one before, and no evaluation has an mse. */
static void another_metric_changes_no_step_that_was_made(void **state)
{
    (void)state;
    enum { AT = 8 };
    static const char *const savings[] = { "train.save_strategy=no", "train.save_strategy=epoch" };
    char *folder = test_folder_new();
    Told told = { .settings = xprintf("train.lr_scheduler_kwargs={\"patience\": 0, \"factor\": 0.5}") };
    for (int i = 0; i < 2; i++) {
        Run *run = open_run(folder, &told, savings[i], true);
        while (run_version(run) < AT)
            assert_true(small_run_go_on(run));
        const size_t bytes = (size_t)run_slot_size(run) * sizeof(float);
        float *before = xmalloc(bytes);
        memcpy(before, run->store.value, bytes);
        assert_true(run->state.plateau.seen);
        run_close(run);
        run = open_by("train.metric_for_best_model=mse", folder, &told, savings[i], false);
        assert_int_equal(run_version(run), AT);
        assert_memory_equal(run->store.value, before, bytes);
        assert_false(run->state.plateau.seen); /* the best loss is no mse */
        assert_int_equal(run->state.plateau.reduced, 0);
        while (run_version(run) < AT + 2) /* an evaluation between them */
            assert_true(small_run_go_on(run));
        assert_int_equal(run->state.plateau.reduced, 1);
        run_close(run);
        free(before);
    }
    free(told.settings);
    test_folder_drop(folder);
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_of_steps_are_torchs_whoever_is_killed),
        cmocka_unit_test(a_cooldown_outlives_a_kill),
        cmocka_unit_test(another_metric_changes_no_step_that_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
