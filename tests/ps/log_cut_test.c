/* A log that is cut every few steps: it stays short, and whoever is killed goes on from the state in front of it. */
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/run_state.h"
#include "ps/verify.h"
#include "tests/support/folder.h"
#include "tests/support/small_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 12 }; /* of SMALL_LONGER */

static const struct {
    const char *file, *more[6];
} cases[] = {
    { "bert-seqcls", { "train.save_strategy=no", "ps.log_steps=2" } },
    { "bert-seqcls", { "train.save_strategy=epoch", "ps.log_steps=2", "train.load_best_model_at_end=true" } },
    { "bert-pissa", { "train.save_strategy=no", "ps.log_steps=2" } },
    { "bert-adalora",
      { "train.save_strategy=no", "ps.log_steps=2", "lora.total_step=12", "lora.tinit=2", "lora.tfinal=3" } },
};

static char *log_of(const char *folder)
{
    return path_join(folder, "wal/log");
}

static char *undisturbed(const char *folder)
{
    Err err = { 0 };
    Run *run = small_run_open(folder, true, "ps.log_steps=1000", &err);
    if (!run)
        fail_msg("%s (%s)", err.what, err.where);
    return small_run_finish(run, folder);
}

static char *killed_after_every_step(const char *folder)
{
    Err err = { 0 };
    Run *run = small_run_open(folder, true, NULL, &err);
    assert_non_null(run);
    while (small_run_go_on(run)) {
        const int64_t before = run_version(run);
        const size_t lines = json_array_size(run->state.history);
        run_close(run);
        run = small_run_open(folder, false, NULL, &err);
        if (!run)
            fail_msg("%s (%s)", err.what, err.where);
        assert_int_equal(run_version(run), before);
        assert_int_equal(json_array_size(run->state.history), lines);
    }
    assert_int_equal(run_version(run), STEPS);
    return small_run_finish(run, folder);
}

static char *metrics_of(const char *folder)
{
    char *path = path_join(folder, "metrics.jsonl"), *text = file_read(path, NULL, NULL), *rest = NULL;
    Text kept = { 0 };
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *entry = json_loads(line, 0, NULL);
        text_addf(&kept, "%lld %.17g %.17g\n", (long long)json_integer_value(json_object_get(entry, "step")),
                  json_number_value(json_object_get(entry, "loss")),
                  json_number_value(json_object_get(entry, "eval_loss")));
        json_decref(entry);
    }
    free(text);
    free(path);
    return text_take(&kept);
}

static void killed_after_every_step_a_run_that_cuts_its_log_ends_with_the_same_adapter(void **state)
{
    (void)state;
    const char *const before = small_run_file;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *more[9] = { SMALL_LONGER, "train.logging_steps=1" };
        char *file = xprintf("tests/golden/%s/run.yaml", cases[i].file);
        memcpy(more + 2, cases[i].more, sizeof cases[i].more);
        small_run_file = file;
        small_run_more = more;
        char *folder = test_folder_new();
        char *want = undisturbed(folder), *lines = metrics_of(folder);
        char *got = killed_after_every_step(folder), *lines_got = metrics_of(folder);
        assert_string_equal(got, want);
        assert_string_equal(lines_got, lines);
        free(want);
        free(got);
        free(lines);
        free(lines_got);
        free(file);
        test_folder_drop(folder);
    }
    small_run_file = before;
}

/* Bytes that the log has behind each step, at the most. */
static int64_t longest_log(const char *folder, const char *log_steps)
{
    Err err = { 0 };
    int64_t most = 0;
    char *path = log_of(folder);
    Run *run = small_run_open(folder, true, log_steps, &err);
    assert_non_null(run);
    while (small_run_go_on(run)) {
        const int64_t now = file_size(path);
        most = now > most ? now : most;
    }
    run_close(run);
    free(path);
    return most;
}

static void a_log_is_no_longer_than_its_steps_and_the_state_in_front(void **state)
{
    (void)state;
    static const char *const more[] = { SMALL_LONGER, "train.save_strategy=no", "lora.init_adapter=null", "lora.r=64",
                                        NULL };
    small_run_more = more;
    char *folder = test_folder_new();
    const int64_t step = longest_log(folder, "ps.log_steps=1000") / STEPS, small = 16384;
    assert_true(longest_log(folder, "ps.log_steps=1") < 4 * step + small); /* values, two moments, one step */
    assert_true(longest_log(folder, "ps.log_steps=3") < 6 * step + small);
    assert_true(step > 4 * small); /* else it says nothing */
    test_folder_drop(folder);
}

/* ---- damage -------------------------------------------------------------------------------------- */

static void flip_log(const char *folder, double part)
{
    char *path = log_of(folder);
    size_t size;
    char *data = file_read(path, &size, NULL);
    assert_non_null(data);
    data[(size_t)((double)size * part)] ^= 4;
    assert_true(file_write(path, data, size, NULL));
    free(data);
    free(path);
}

/* Killed at step 9, the log was cut at 8; a number of the state has a wrong bit, and the log is cut off there. */
static void damage_and_cut(const char *folder, const char *saving)
{
    Err err = { 0 }, damaged = { 0 }, not_whole = { 0 };
    Text said = { 0 };
    Run *run = small_run_open(folder, true, saving, &err);
    assert_non_null(run);
    while (run_version(run) < 9)
        assert_true(small_run_go_on(run));
    run_close(run);
    assert_true(verify_run(&(VerifyOptions){ folder, false }, &said, &err));
    assert_non_null(strstr(said.data, "wal/log: the state of step 8, steps 9 to 9, 0 evaluations"));
    text_release(&said);
    flip_log(folder, 0.3);
    assert_null(small_run_open(folder, false, saving, &err));
    assert_non_null(strstr(err.what, "the write-ahead log is damaged at byte"));
    assert_false(verify_run(&(VerifyOptions){ folder, false }, &said, &damaged));
    assert_non_null(strstr(said.data, "DAMAGED  wal/log"));
    text_release(&said);
    assert_false(verify_run(&(VerifyOptions){ folder, true }, &said, &not_whole)); /* it cannot be made whole */
    assert_non_null(strstr(said.data, "the state in front is not whole"));
    text_release(&said);
}

static void behind_a_damaged_state_nothing_is_taken_for_it(void **state)
{
    (void)state;
    static const char *const more[] = { SMALL_LONGER, "ps.log_steps=2", NULL };
    static const char saving[] = "train.save_strategy=epoch", none[] = "train.save_strategy=no";
    Err err = { 0 };
    small_run_more = more;
    char *folder = test_folder_new(), *want = undisturbed(folder);
    damage_and_cut(folder, none);
    assert_null(small_run_open(folder, false, none, &err));
    assert_string_equal(err.what, "the state of step 8, which the log starts from, is not whole");
    err = (Err){ 0 };
    damage_and_cut(folder, saving); /* from checkpoint-6 it is computed again */
    Run *run = small_run_open(folder, false, saving, &err);
    if (!run)
        fail_msg("%s (%s)", err.what, err.where);
    assert_int_equal(run_version(run), 6);
    char *got = small_run_finish(run, folder);
    assert_string_equal(got, want);
    free(got);
    free(want);
    test_folder_drop(folder);
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_after_every_step_a_run_that_cuts_its_log_ends_with_the_same_adapter),
        cmocka_unit_test(a_log_is_no_longer_than_its_steps_and_the_state_in_front),
        cmocka_unit_test(behind_a_damaged_state_nothing_is_taken_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
