/* When a run ends early, its best step and its counts, beside Trainer with EarlyStoppingCallback
 * (golden/early-stopping/make.py), undisturbed and killed after every step. */
#include "ps/run.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"
#include "ps/world.h"
#include "tests/support/folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EXAMPLES = 40, BATCH = 16, PER_EPOCH = 3, ASKED = 40, TOKENS = 300 };

/* A line of evaluations.jsonl. */
typedef struct Told {
    const char *metric;
    const json_t *figures;
    int64_t patience, steps, best_step;
    double best;
} Told;

static Run *open_run(const char *folder, const Told *told, bool overwrite)
{
    Err err = { 0 };
    char *more[] = { xprintf("train.output_dir=%s", folder),
                     xprintf("train.num_train_epochs=%zu", json_array_size(told->figures)),
                     xprintf("train.early_stopping_patience=%lld", (long long)told->patience),
                     xprintf("train.metric_for_best_model=%s", told->metric) };
    const char *overrides[] = { more[0],
                                more[1],
                                more[2],
                                more[3],
                                "train.save_strategy=epoch",
                                "train.eval_strategy=epoch",
                                "train.load_best_model_at_end=true" };
    Config config = { 0 };
    const ConfigSources sources = { .file = "tests/golden/bert-seqcls/run.yaml",
                                    .overrides = overrides,
                                    .override_count = sizeof overrides / sizeof *overrides };
    if (!config_load(&config, &sources, &err))
        fail_msg("%s (%s)", err.what, err.where);
    Run *run = run_open(&config, overwrite, &err);
    if (!run)
        fail_msg("%s (%s)", err.what, err.where);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        free(more[i]);
    return run;
}

/* Sums that make the metric this figure: a mean loss, or as many right answers. */
static void evaluate(const CoreWorld *world, const Told *told, int64_t version)
{
    const double figure = json_number_value(json_array_get(told->figures, (size_t)(version / PER_EPOCH - 1)));
    const bool loss = strcmp(told->metric, "loss") == 0;
    const int64_t right = loss ? ASKED : llround(figure * ASKED);
    Metrics all;
    metrics_init(&all, &(MetricsSpec){ TASK_SEQ_CLS, PROBLEM_SINGLE_LABEL, 3, NULL, { .batch = 0 }, NULL, 0 });
    for (int64_t i = 0; i < ASKED; i++) {
        const float logits[3] = { 0, 1, 0 }, goal[1] = { i < right ? 1.0F : 2.0F };
        metrics_add(&all, logits, goal, 1, (MetricsLoss){ loss ? figure : 1.0, 1 });
    }
    const double *sums[] = { all.sums };
    world->evaluated(world->self, version, sums, &all.size, 1);
    metrics_release(&all);
}

static void train_step(const CoreWorld *world, int64_t version, int64_t size)
{
    float *gradient = xcalloc((size_t)size, sizeof *gradient);
    int code;
    const char *text;
    gradient[version] = 1;
    const StepSums sums = { version, gradient, BATCH, TOKENS + version, 8.0 + (double)version, version, 0 };
    assert_true(world->apply(world->self, &sums, &code, &text));
    free(gradient);
}

/* One evaluation or step; false at the end. */
static bool go_on(Run *run, const Told *told)
{
    CoreWorld world = world_of(run);
    const HelloFacts facts = { .slot_size = run_slot_size(run),
                               .examples = EXAMPLES,
                               .longest = 32,
                               .eval_chunks = 1,
                               .eval_examples = ASKED,
                               .eval_width = 64,
                               .ranks = 2,
                               .job_ranks = 2 };
    int code;
    const char *text;
    world.begin(world.self, &facts, 2, &(uint64_t){ 0 });
    const int64_t version = run_version(run);
    const LeaseKind kind = world.next(world.self, version, &code, &text);
    if (kind == LEASE_EVAL)
        evaluate(&world, told, version);
    else if (kind == LEASE_TRAIN)
        train_step(&world, version, run_slot_size(run));
    return kind != LEASE_STOP;
}

static json_t *file_of(const char *folder, const char *name)
{
    Err err = { 0 };
    char *path = path_join(folder, name);
    json_t *file = json_file(path, &err);
    assert_non_null(file);
    free(path);
    return file;
}

static void expect_int(const json_t *file, const char *key, int64_t want)
{
    const json_t *value = json_object_get(file, key);
    if (!json_is_integer(value) || json_integer_value(value) != want)
        fail_msg("%s is %s, should be %lld", key, json_dumps(value, JSON_ENCODE_ANY), (long long)want);
}

/* Tokens and losses are those of train_step, examples of Trainer's batches: 16, 16 and 8 an epoch. */
static void expect_files(const char *folder, const Told *told)
{
    json_t *summary = file_of(folder, "summary.json"), *state = file_of(folder, "trainer_state.json");
    const int64_t n = told->steps, tokens = n * TOKENS + n * (n - 1) / 2;
    const double loss = (8.0 + (double)(n - 1) / 2) / BATCH;
    expect_int(summary, "steps", n);
    expect_int(summary, "tokens", tokens);
    expect_int(state, "num_input_tokens_seen", tokens);
    expect_int(state, "global_step", n);
    for (int i = 0; i < 2; i++) {
        const json_t *file = i ? state : summary;
        expect_int(file, "best_global_step", told->best_step);
        assert_true(json_number_value(json_object_get(file, "best_metric")) == told->best);
    }
    assert_float_equal(json_number_value(json_object_get(summary, "train_loss")), loss, 1e-12);
    const double seconds = json_number_value(json_object_get(summary, "train_runtime"));
    assert_float_equal(json_number_value(json_object_get(summary, "tokens_per_second")), (double)tokens / seconds,
                       1e-9 * (double)tokens / seconds);
    assert_float_equal(json_number_value(json_object_get(summary, "examples_per_second")),
                       (double)n / PER_EPOCH * EXAMPLES / seconds, 1e-9 * (double)tokens / seconds);
    json_decref(summary);
    json_decref(state);
}

static void check(const Told *told, bool disturbed)
{
    char *folder = test_folder_new();
    Err err = { 0 };
    Run *run = open_run(folder, told, false);
    while (go_on(run, told))
        if (disturbed) {
            run_close(run);
            run = open_run(folder, told, false);
        }
    if (run_version(run) != told->steps)
        fail_msg("patience %d of %s %s: ends at step %d, Trainer at %d", (int)told->patience, told->metric,
                 json_dumps(told->figures, 0), (int)run_version(run), (int)told->steps);
    assert_true(run_finish(run, &err));
    run_close(run);
    expect_files(folder, told);
    test_folder_drop(folder);
}

static void check_all(bool disturbed)
{
    static const char path[] = "tests/golden/early-stopping/evaluations.jsonl";
    Err err = { 0 };
    char *text = file_read(path, NULL, &err), *rest = NULL;
    assert_non_null(text);
    int lines = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++) {
        json_t *row = json_bytes(line, strlen(line), path, &err);
        assert_non_null(row);
        const Told told = {
            json_string_value(json_object_get(row, "metric")),     json_object_get(row, "figures"),
            json_integer_value(json_object_get(row, "patience")),  json_integer_value(json_object_get(row, "steps")),
            json_integer_value(json_object_get(row, "best_step")), json_number_value(json_object_get(row, "best"))
        };
        check(&told, disturbed);
        json_decref(row);
    }
    assert_true(lines > 20);
    free(text);
}

static void a_run_ends_where_trainer_ends_it(void **state)
{
    (void)state;
    check_all(false);
}

static void a_killed_one_ends_there_too(void **state)
{
    (void)state;
    check_all(true);
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_ends_where_trainer_ends_it),
        cmocka_unit_test(a_killed_one_ends_there_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
