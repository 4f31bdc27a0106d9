#include "tests/support/small_run.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/metrics/metrics.h"
#include "ps/run_state.h"
#include "ps/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

bool small_run_gets_worse;
const char *const *small_run_more;
const char *small_run_file = "tests/golden/bert-seqcls/run.yaml";

Run *small_run_open(const char *folder, bool overwrite, const char *extra, Err *err)
{
    char *output = xprintf("train.output_dir=%s", folder);
    const char *overrides[12] = { output, "train.num_train_epochs=2", "train.save_strategy=epoch" };
    int count = 3;
    for (const char *const *more = small_run_more; more && *more; more++)
        overrides[count++] = *more;
    if (extra)
        overrides[count++] = extra;
    Config config = { 0 };
    const ConfigSources sources = { .file = small_run_file, .overrides = overrides, .override_count = count };
    if (!config_load(&config, &sources, err))
        fail_msg("%s (%s)", err->what, err->where);
    Run *run = run_open(&config, overwrite, err);
    free(output);
    return run;
}

const double *small_run_losses;

static double loss_of(int64_t version)
{
    if (small_run_losses)
        return small_run_losses[version / 3 - 1];
    return small_run_gets_worse ? (double)version : 1.0 / (double)version;
}

static void evaluate(const CoreWorld *world, int64_t version)
{
    Metrics one;
    metrics_init(&one, &(MetricsSpec){ .task = TASK_SEQ_CLS, .problem = PROBLEM_SINGLE_LABEL, .labels = 3 });
    const float logits[3] = { 0, (float)version, 1 }, goal[1] = { 1 };
    metrics_add(&one, logits, goal, 1, (MetricsLoss){ loss_of(version), 1 });
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
        world->apply(world->self, &(StepSums){ version, gradient, 16, 300, 16.5, version, 0 }, &code, &text);
    free(gradient);
    return ok;
}

HelloFacts small_run_facts(const Run *run)
{
    return (HelloFacts){ .slot_size = run_slot_size(run),
                         .slot_hash = run->adapted.table->hash,
                         .examples = SMALL_EXAMPLES,
                         .longest = 32,
                         .eval_chunks = 2,
                         .eval_examples = 2,
                         .eval_width = 16,
                         .ranks = 2,
                         .job_ranks = 2 };
}

/* One evaluation or step; false at the end. */
bool small_run_go_on(Run *run)
{
    CoreWorld world = world_of(run);
    const HelloFacts facts = small_run_facts(run);
    assert_int_equal(world.begin(world.self, &facts, 2, &(uint64_t){ 0 }), 2);
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
char *small_run_finish(Run *run, const char *folder)
{
    Err err = { 0 };
    while (small_run_go_on(run)) {
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

void small_run_to_eight(const char *folder)
{
    Err err = { 0 };
    Run *run = small_run_open(folder, true, SMALL_LONGER, &err);
    assert_non_null(run);
    while (run_version(run) < 8)
        assert_true(small_run_go_on(run));
    run_close(run);
}
