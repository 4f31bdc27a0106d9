/* A job from its run file to its pushes, with a fake server and ranks without MPI (fake_node.h): whoever
 * computes, each push is a node of the sum tree with the tree's bits, and nothing is counted twice. */
#include "common/slots/tree.h"
#include "common/wire/facts.h"
#include "tests/worker/train/fake_node.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/levels.h"

#include "common/base/file.h"
#include "common/base/log.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST_M = 16 };

/* Everything that could move a bit moves: dropout in the model and in the LoRA. */
static const char *const dropout[] = {
    "lora.lora_dropout=0.1",
    "model_config={hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1}",
};

typedef struct Settings {
    const char *overrides[8];
    int count;
} Settings;

static Settings settings(const char *micro_batches, const char *limit)
{
    return (Settings){
        { dropout[0], dropout[1], "parallel.threads=1", "parallel.micro_batch_tokens=64", micro_batches, limit }, 6
    };
}

static ConfigSources sources_of(const Settings *s)
{
    return (ConfigSources){ .file = "tests/golden/bert-seqcls/run.yaml",
                            .overrides = s->overrides,
                            .override_count = s->count };
}

static const Lease stop = { .kind = LEASE_STOP };

static void run(int ranks, const Settings *s, const Lease *leases, int count, void (*look)(Job *, Ended *))
{
    const ConfigSources sources = sources_of(s);
    Ended ended;
    forget();
    script.leases = leases;
    script.lease_count = count;
    play(ranks, &sources, &ended, look);
}

static void expect_good_end(const Ended *ended, int ranks)
{
    if (!ended->ok)
        fail_msg("%s (%s)", ended->err.what, ended->err.where);
    assert_int_equal(ended->code, 0);
    for (int r = 1; r < ranks; r++)
        assert_int_equal(ended->others[r], 0);
}

/* ---- training -------------------------------------------------------------------------- */

/* The micro-batches of a step, one by one. */
typedef struct Leaves {
    int64_t M, size;
    float *grad[MOST_M]; /* owned */
    int64_t count[MOST_M], tokens[MOST_M];
    double loss[MOST_M];
} Leaves;

static Leaves leaves_of(Job *job, int64_t step)
{
    Leaves all = { .M = job->run.config.parallel.micro_batches, .size = job->base.adapted.table->size };
    float *values = xmalloc((size_t)all.size * sizeof *values);
    values_at(values, all.size, step);
    for (int64_t m = 0; m < all.M; m++) {
        const uint32_t *rows;
        const int64_t n = plan_micro_batch(job->step.plan, step, m, &rows);
        all.grad[m] = xcalloc((size_t)all.size, sizeof(float));
        if (n == 0)
            continue;
        for (int64_t i = 0; i < n; i++)
            all.tokens[m] += job->data.train.data.start[rows[i] + 1] - job->data.train.data.start[rows[i]];
        const Batch batch = batch_fill(&job->step.flights.flights[0].room, &job->data.train.data, rows, n, 0);
        all.loss[m] = model_train(job->step.model, &batch, values, all.grad[m], step).sum;
        all.count[m] = n;
    }
    free(values);
    return all;
}

/* grad[begin] becomes the sum of [begin, begin + width): left half + right half. */
static void add_up(Leaves *all, int64_t begin, int64_t width)
{
    const int64_t middle = begin + width / 2;
    if (width == 1)
        return;
    add_up(all, begin, width / 2);
    if (middle >= all->M)
        return;
    add_up(all, middle, width / 2);
    for (int64_t i = 0; i < all->size; i++)
        all->grad[begin][i] += all->grad[middle][i];
    all->count[begin] += all->count[middle];
    all->tokens[begin] += all->tokens[middle];
    all->loss[begin] += all->loss[middle];
}

static void expect_push(Job *job, const Push *push)
{
    Leaves all = leaves_of(job, push->step);
    const Range at = push->range;
    int64_t width = 1;
    assert_true(tree_is_node(at.begin, at.end, all.M));
    while (at.begin + width < at.end)
        width *= 2;
    add_up(&all, at.begin, width);
    assert_false(push->eval);
    assert_int_equal(push->size, (size_t)all.size * sizeof(float));
    assert_true(push->weight == (double)all.count[at.begin]);
    assert_int_equal(push->tokens, all.tokens[at.begin]);
    assert_true(push->loss == all.loss[at.begin]);
    assert_memory_equal(push->data, all.grad[at.begin], push->size);
    assert_true(push->seconds > 0);
    for (int64_t m = 0; m < all.M; m++)
        free(all.grad[m]);
}

/* The leases are answered, in order, by as few pushes as the tree allows. */
/* Small models are mostly what a process takes without one: what the job has is in the figure, and little besides. */
static void expect_plan(const Job *job)
{
    const Foreseen *plan = &script.foreseen;
    const int64_t slots = job->node.slot_size * (int64_t)sizeof(float), weights = job->base.weights.bytes;
    ModelOptions o = job->step.options;
    o.most_tokens = job->step.trained_tokens;
    o.most_sequences = job->step.trained_rows;
    const int64_t process =
        24 * 1000 * 1000 + model_bytes(job->base.adapted.arch, job->base.adapted.table, &job->base.weights, &o);
    const int64_t least = weights + slots + job->node.size * (process + slots);
    assert_true(plan->seconds > 0 && plan->bytes == 2 * slots);
    assert_true(plan->memory >= least * 99 / 100 && plan->memory <= least + job->node.size * 3 * slots + least / 100);
}

static void expect_answers(Job *job, Ended *ended)
{
    expect_good_end(ended, job->node.size);
    const int64_t M = job->run.config.parallel.micro_batches;
    int push = 0;
    for (int k = 0; script.leases[k].kind == LEASE_TRAIN; k++)
        for (int i = 0; i < script.leases[k].range_count; i++)
            for (int64_t at = script.leases[k].range[i].begin, end = script.leases[k].range[i].end; at < end;) {
                assert_true(push < script.count);
                const Push *p = &script.pushes[push++].push;
                assert_int_equal(p->step, script.leases[k].step);
                assert_int_equal(p->range.begin, at);
                assert_int_equal(p->range.end, tree_node_end(at, end, M));
                expect_push(job, p);
                at = p->range.end;
            }
    assert_int_equal(push, script.count);
    assert_true(script.memory > 0);
    expect_plan(job);
}

static void a_step_is_one_push_with_the_trees_bits_whoever_computes(void **state)
{
    (void)state;
    static const int ranks[] = { 1, 2, 3, 5, 8 };
    const Lease leases[] = { { .step = 0, .range = { { 0, 8 } }, .range_count = 1 },
                             { .step = 1, .range = { { 0, 8 } }, .range_count = 1 },
                             stop };
    const Settings s = settings("parallel.micro_batches=8", "data.limit=40");
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        run(ranks[i], &s, leases, 3, expect_answers);
}

static void parts_of_a_step_are_pushed_as_the_nodes_they_are(void **state)
{
    (void)state;
    const Lease leases[] = { { .step = 3, .range = { { 1, 6 } }, .range_count = 1 },
                             { .step = 3, .range = { { 0, 1 }, { 6, 7 } }, .range_count = 2 },
                             { .step = 4, .range = { { 2, 7 } }, .range_count = 1 },
                             stop };
    const Settings s = settings("parallel.micro_batches=7", "data.limit=40");
    for (int ranks = 1; ranks <= 4; ranks++)
        run(ranks, &s, leases, 4, expect_answers);
}

static void expect_short_batch(Job *job, Ended *ended)
{
    expect_answers(job, ended);
    assert_int_equal(script.count, 1);
    assert_true(script.pushes[0].push.weight == 3);
}

/* 19 examples, 16 a batch: the second has 3 for 8 micro-batches. */
static void micro_batches_without_examples_add_nothing(void **state)
{
    (void)state;
    const Lease leases[] = { { .step = 1, .range = { { 0, 8 } }, .range_count = 1 }, stop };
    const Settings s = settings("parallel.micro_batches=8", "data.limit=19");
    run(1, &s, leases, 2, expect_short_batch);
    run(4, &s, leases, 2, expect_short_batch);
}

/* ---- evaluation ------------------------------------------------------------------------ */

/* Every row alone: right answers, and the loss of all. */
static int64_t ask_one_by_one(Job *job, const float *values, double *loss)
{
    float logits[8];
    int64_t right = 0;
    *loss = 0;
    for (int64_t i = 0; i < job->data.eval.count; i++) {
        const Batch batch =
            batch_fill(&job->step.flights.flights[0].room, job->data.eval.data, &job->data.eval.rows[i], 1, 0);
        *loss += model_predict(job->step.model, &batch, values, logits).sum;
        int64_t best = 0;
        for (int64_t k = 1; k < job->base.adapted.arch->head.labels; k++)
            best = logits[k] > logits[best] ? k : best;
        right += (int64_t)batch.goal[0] == best;
    }
    return right;
}

static void expect_evaluation(Job *job, Ended *ended)
{
    Metrics all;
    bool seen[MOST_PUSHES] = { 0 };
    float *values = xmalloc((size_t)job->base.adapted.table->size * sizeof *values);
    expect_good_end(ended, job->node.size);
    assert_true(job->data.eval.chunks > 3); /* else one rank does it all */
    assert_int_equal(script.facts.eval_chunks, job->data.eval.chunks);
    assert_int_equal(script.count, job->data.eval.chunks);
    metrics_init(&all, &job->step.metrics.spec);
    for (int i = 0; i < script.count; i++) {
        const Push *p = &script.pushes[i].push;
        assert_true(p->eval && p->step == 5 && p->range.end == p->range.begin + 1);
        assert_false(seen[p->range.begin]);
        seen[p->range.begin] = true;
        assert_true(metrics_merge(&all, p->data, (int64_t)(p->size / sizeof(double))));
    }
    double loss;
    values_at(values, job->base.adapted.table->size, 5);
    const int64_t right = ask_one_by_one(job, values, &loss);
    Figure figures[METRICS_FIGURES];
    metrics_figures(&all, figures);
    assert_true(all.sums[0] == (double)job->data.eval.count && script.facts.eval_examples == job->data.eval.count);
    assert_float_equal(figures[0].value, loss / (double)job->data.eval.count, 1e-5);
    assert_string_equal(figures[1].name, "accuracy");
    assert_float_equal(figures[1].value, (double)right / (double)job->data.eval.count, 1e-12);
    metrics_release(&all);
    free(values);
}

static void each_chunk_of_an_evaluation_is_measured_once(void **state)
{
    (void)state;
    const Lease leases[] = { { .kind = LEASE_EVAL, .step = 5, .range = { { 0, 3 }, { 3, -1 } }, .range_count = 2 },
                             stop };
    const Settings s = settings("parallel.micro_batches=8", "data.limit=40");
    for (int ranks = 1; ranks <= 3; ranks++)
        run(ranks, &s, leases, 2, expect_evaluation);
}

/* ---- ends ------------------------------------------------------------------------------ */

static void expect_same_code(const Ended *ended, int ranks, int code)
{
    assert_int_equal(ended->code, code);
    for (int r = 1; r < ranks; r++)
        assert_int_equal(ended->others[r], code);
}

static void expect_out_of_range(Job *job, Ended *ended)
{
    assert_true(ended->opened && !ended->ok && ended->err.kind == ERR_PEER);
    assert_non_null(strstr(ended->err.what, "pieces"));
    expect_same_code(ended, job->node.size, 3);
    assert_int_equal(script.count, 0);
}

static void leases_of_what_is_not_there_end_all_ranks(void **state)
{
    (void)state;
    static const Range bad[] = { { 0, 9 }, { -1, 2 }, { 3, 3 }, { 5, 4 }, { 8, 9 } };
    const Settings s = settings("parallel.micro_batches=8", "data.limit=40");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const Lease leases[] = { { .step = 0, .range = { { 0, 1 }, bad[i] }, .range_count = 2 } };
        run(2, &s, leases, 1, expect_out_of_range);
    }
}

static void expect_silence(Job *job, Ended *ended)
{
    assert_true(ended->opened && !ended->ok && ended->err.kind == ERR_PEER);
    expect_same_code(ended, job->node.size, 3);
    assert_int_equal(script.count, 1); /* what came before */
}

static void a_server_that_falls_silent_ends_all_ranks(void **state)
{
    (void)state;
    const Lease leases[] = { { .step = 0, .range = { { 0, 8 } }, .range_count = 1 } };
    const Settings s = settings("parallel.micro_batches=8", "data.limit=40");
    const ConfigSources sources = sources_of(&s);
    Ended ended;
    forget();
    script.leases = leases;
    script.lease_count = script.silent_at = 1;
    play(3, &sources, &ended, expect_silence);
}

static void expect_verdict(Job *job, Ended *ended)
{
    assert_true(ended->ok);
    expect_same_code(ended, job->node.size, 5);
}

static void the_servers_verdict_is_every_ranks_code(void **state)
{
    (void)state;
    const Lease leases[] = { { .kind = LEASE_STOP, .code = 5, .text = "(a sentence of the test)" } };
    const Settings s = settings("parallel.micro_batches=8", "data.limit=40");
    run(3, &s, leases, 1, expect_verdict);
}

/* ---- HELLO ----------------------------------------------------------------------------- */

static void expect_facts(Job *job, Ended *ended)
{
    const HelloFacts *f = &script.facts;
    expect_good_end(ended, job->node.size);
    assert_int_equal(f->examples, 40);
    assert_int_equal(f->slot_size, job->base.adapted.table->size);
    assert_true(f->slot_hash == job->base.adapted.table->hash && f->base_digest != 0 && f->data_digest != 0);
    assert_int_equal(f->ranks, 2);
    assert_int_equal(f->job_ranks, 2);
    int64_t longest = 0;
    for (int64_t i = 0; i < job->data.train.data.count; i++)
        longest = job->data.train.data.start[i + 1] - job->data.train.data.start[i] > longest
                      ? job->data.train.data.start[i + 1] - job->data.train.data.start[i]
                      : longest;
    assert_int_equal(f->longest, longest);
    assert_true(f->eval_width >= 2 + 3 * 3);
    assert_true(f->host[0] != '\0');
    assert_non_null(strstr(script.text, "\n  seed: ")); /* the whole configuration goes along */
    assert_true(script.plan == facts_plan(f, config_digest(&job->run.config, true), 8));
}

static void the_server_is_told_what_the_job_is(void **state)
{
    (void)state;
    const Settings s = settings("parallel.micro_batches=8", "data.limit=40");
    run(2, &s, &stop, 1, expect_facts);
}

/* A worker that was given no run file asks for it, and is the same job then. */
static void the_servers_run_file_makes_the_same_job(void **state)
{
    (void)state;
    const Settings s = settings("parallel.micro_batches=8", "data.limit=40");
    const ConfigSources sources = sources_of(&s), none = { 0 };
    Config config = { 0 };
    Text text = { 0 };
    Err err = { 0 };
    Ended ended;
    run(2, &s, &stop, 1, expect_facts);
    const HelloFacts with_file = script.facts;
    const uint64_t plan = script.plan;
    assert_int_equal(script.joins, 0);
    assert_true(config_load(&config, &sources, &err));
    config_print(&config, &text);
    forget();
    script.run = text.data;
    script.leases = &stop;
    script.lease_count = 1;
    play(2, &none, &ended, expect_facts);
    assert_true(script.facts.data_digest == with_file.data_digest);
    assert_int_equal(script.joins, FAKE_RUN);
    assert_true(script.plan == plan);
    assert_true(script.facts.base_digest == with_file.base_digest && script.facts.eval_chunks == with_file.eval_chunks);
    text_release(&text);
    config_release(&config);
}

/* ---- arithmetic ------------------------------------------------------------------------ */

static void expect_to_follow(Job *job, Ended *ended)
{
    expect_good_end(ended, job->node.size);
    assert_int_equal(script.hellos, 2); /* as it would, and as it is told */
    assert_string_equal(script.facts.arithmetic, script.follow);
    assert_string_equal(job->run.arithmetic.name, script.follow);
    assert_true(script.facts.fingerprint == job->run.arithmetic.fingerprint);
    assert_ptr_equal(kernels, levels_find(script.follow)->kernels);
}

static void expect_that_it_cannot_follow(Job *job, Ended *ended)
{
    (void)job;
    assert_false(ended->opened);
    assert_int_equal(ended->err.kind, ERR_REFUSED);
    assert_non_null(strstr(ended->err.what, "the run's arithmetic is 'x86-64-v9'"));
    assert_int_equal(script.hellos, 1);
}

static void a_job_computes_as_the_run_does_or_not_at_all(void **state)
{
    (void)state;
    Arithmetic mine;
    Err err = { 0 };
    const char *lowest = levels[level_count - 1].name, *core = getenv("OPENBLAS_CORETYPE");
    char *before = core ? xstrdup(core) : NULL;
    unsetenv("OPENBLAS_CORETYPE");
    REQUIRE(arithmetic_start(&mine, NULL, false, true, &err));
    Settings s = settings("parallel.micro_batches=8", "data.limit=40");
    const ConfigSources sources = sources_of(&s);
    Ended ended;
    const char *const follow[] = { lowest, "x86-64-v9" };
    for (int i = strcmp(mine.name, lowest) == 0; i < 2; i++) { /* a machine of one level has none to follow */
        forget();
        script.follow = follow[i];
        script.leases = &stop;
        script.lease_count = 1;
        play(2, &sources, &ended, i == 0 ? expect_to_follow : expect_that_it_cannot_follow);
    }
    if (before)
        setenv("OPENBLAS_CORETYPE", before, 1);
    free(before);
    REQUIRE(arithmetic_start(&mine, NULL, false, true, &err));
}

int main(void)
{
    char cache[] = "/tmp/work_test.XXXXXX";
    log_setup("test", LOG_ERROR);
    gemm_set_threads(1); /* before the first fork: threads do not survive it */
    if (!mkdtemp(cache) || setenv("LORA_CACHE", cache, 1) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_one_push_with_the_trees_bits_whoever_computes),
        cmocka_unit_test(parts_of_a_step_are_pushed_as_the_nodes_they_are),
        cmocka_unit_test(micro_batches_without_examples_add_nothing),
        cmocka_unit_test(each_chunk_of_an_evaluation_is_measured_once),
        cmocka_unit_test(leases_of_what_is_not_there_end_all_ranks),
        cmocka_unit_test(a_server_that_falls_silent_ends_all_ranks),
        cmocka_unit_test(the_servers_verdict_is_every_ranks_code),
        cmocka_unit_test(the_server_is_told_what_the_job_is),
        cmocka_unit_test(the_servers_run_file_makes_the_same_job),
        cmocka_unit_test(a_job_computes_as_the_run_does_or_not_at_all),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    forget();
    return (folder_remove(cache, NULL) ? 0 : 1) + failed;
}
