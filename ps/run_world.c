/* run_world - the run's side of CoreWorld: begin, apply a step, what comes next, evaluations.
 * Every change goes to the log before it is made, so that replaying the log makes it again. */
#include "ps/run_world.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/plan/steps.h"
#include "common/wire/facts.h"
#include "ps/tell.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- begin ----------------------------------------------------------------------------------- */

int64_t run_length(const Run *run)
{
    const TrainConfig *train = &run->config.train;
    return steps_total(run->per_epoch, train->num_train_epochs, train->max_steps);
}

void run_take_facts(Run *run, const HelloFacts *facts, int64_t M, int64_t total)
{
    const TrainConfig *train = &run->config.train;
    run->facts = *facts;
    run->M = M;
    run->plan = facts_plan(facts, config_digest(&run->config, true), M);
    run->basis = facts_plan(facts, config_digest(&run->config, false), M);
    run->begun = true;
    run->per_epoch = steps_per_epoch(facts->examples, train->batch_size);
    run->total = total > 0 ? total : run_length(run);
    static const RateKind kinds[] = { [SCHEDULE_LINEAR] = RATE_LINEAR,
                                      [SCHEDULE_COSINE] = RATE_COSINE,
                                      [SCHEDULE_CONSTANT] = RATE_CONSTANT,
                                      [SCHEDULE_CONSTANT_WITH_WARMUP] = RATE_CONSTANT_WITH_WARMUP };
    run->schedule = (Schedule){ kinds[train->schedule], train->learning_rate,
                                schedule_warmup(train->warmup_steps, train->warmup_ratio, run->total), run->total };
}

static int64_t world_begin(void *self, const HelloFacts *facts, int64_t replicas, uint64_t *plan)
{
    Run *run = self;
    Err err = { 0 };
    if (!run->begun) {
        const ParallelConfig *p = &run->config.parallel;
        const int64_t M = p->micro_batches > 0 ? p->micro_batches
                                               : steps_micro_batches(run->config.train.batch_size, facts->longest,
                                                                     p->micro_batch_tokens, replicas);
        run_take_facts(run, facts, M, 0);
        char number[24], digest[24];
        snprintf(number, sizeof number, "%lld", (long long)M);
        snprintf(digest, sizeof digest, "%016llx", (unsigned long long)facts->fingerprint);
        const WalBegin record = { *facts, M, run->total };
        const WalPart part = { &record, sizeof record };
        if (!config_set(&run->config, "parallel.micro_batches", number, &err) ||
            !config_set(&run->config, "parallel.arithmetic", facts->arithmetic, &err) ||
            !config_set(&run->config, "parallel.fingerprint", digest, &err) || !run_write_text(run, &err))
            log_warn("save", "run.yaml does not say what the run fixed: %s", err.what);
        run_record(run, WAL_BEGIN, &part, 1, true);
    }
    progress_init(&run->progress, run->state.version, run->total);
    run->clock_before = run->state.seconds;
    run->clock_start = clock_now();
    log_info("run", "steps=%lld micro_batches=%lld trainable=%lld", (long long)run->total, (long long)run->M,
             (long long)run->table->trainable);
    *plan = run->plan;
    return run->M;
}

/* ---- HELLO ----------------------------------------------------------------------------------- */

static char *differs_config(const Run *run, const Config *theirs)
{
    Text keys = { 0 };
    char *answer = config_same_run(&run->config, theirs, COMPARE_WORKER, &keys)
                       ? NULL
                       : xprintf("another configuration: %s", keys.data);
    text_release(&keys);
    return answer;
}

static char *differs_run(const Run *run, const Msg *hello)
{
    if (hello->run != 0 && hello->run != run->id)
        return xprintf("this worker belongs to run %016llx, and the server at this address now has run %016llx: "
                       "start the worker again to join that one",
                       (unsigned long long)hello->run, (unsigned long long)run->id);
    return NULL;
}

static char *differs_plan(const Run *run, const Msg *hello)
{
    if (run->begun && hello->plan != 0 && hello->plan != run->plan)
        return xprintf("this worker computes plan %016llx, and the run's is %016llx (configuration, data, "
                       "micro-batches): start the worker again",
                       (unsigned long long)hello->plan, (unsigned long long)run->plan);
    return NULL;
}

static const char *world_arithmetic(void *self)
{
    const char *name = ((Run *)self)->config.parallel.arithmetic;
    return strcmp(name, "auto") == 0 ? NULL : name;
}

/* A run file may ask for the fingerprint of another run, whose bits it wants. */
static char *differs_fingerprint(const Run *run, const HelloFacts *facts)
{
    const char *asked = run->config.parallel.fingerprint;
    char theirs[24];
    snprintf(theirs, sizeof theirs, "%016llx", (unsigned long long)facts->fingerprint);
    if (!asked || strcmp(asked, theirs) == 0)
        return NULL;
    return xprintf("other arithmetic: %s with fingerprint %s on %s, but the run file asks for %s", facts->arithmetic,
                   theirs, facts->host, asked);
}

static void add_files(Text *out, const char *key, const StringList *files)
{
    text_addf(out, "; it reads %s:", key);
    for (int i = 0; i < files->count; i++)
        text_addf(out, "%s %s", i > 0 ? "," : "", files->items[i]);
}

/* As facts_differ, with the files that the worker reads where data differ. */
static char *differs_facts(const HelloFacts *theirs, const HelloFacts *ours, const DataConfig *data)
{
    char *sentence = facts_differ(theirs, ours);
    if (!sentence)
        return NULL;
    Text out = { 0 };
    text_adds(&out, sentence);
    free(sentence);
    if (text_starts(out.data, "other training data"))
        add_files(&out, "data.train", &data->train);
    else if (text_starts(out.data, "other validation data"))
        add_files(&out, data->validation.count > 0 ? "data.validation" : "data.validation_split of data.train",
                  data->validation.count > 0 ? &data->validation : &data->train);
    return text_take(&out);
}

static char *differs_sizes(const Run *run, const HelloFacts *facts)
{
    if (run->arch->labels_open)
        return xstrdup("the worker does not say which labels its data have");
    if (facts->slot_hash != run->table->hash || facts->slot_size != run->table->size)
        return xstrdup("another set of trainable tensors (slot table): is the model the same, and the "
                       "program of the same version?");
    if (facts->examples < 1 || facts->longest < 1 || facts->ranks < 1 || facts->job_ranks < 1 ||
        facts->eval_chunks < 0 || facts->eval_examples < 0 || facts->eval_width < 0)
        return xstrdup("the worker has no training data, or its figures are out of range");
    return NULL;
}

/* In the order of what says most to the one who reads it. */
static char *world_differs(void *self, const Msg *hello, const HelloFacts *first)
{
    Run *run = self;
    const HelloFacts *facts = &hello->facts, *with = run->begun ? &run->facts : first;
    char *differs = differs_run(run, hello);
    if (differs)
        return differs;
    if (!hello->text)
        return xstrdup("the worker does not say its configuration");
    Config theirs = { 0 };
    Err err = { 0 };
    if (!config_load(&theirs, &(ConfigSources){ .file = "the worker's run file", .text = hello->text }, &err))
        differs = xprintf("the run file that was sent is not valid: %s", err.what);
    else if (!(differs = differs_config(run, &theirs)) && !(differs = differs_plan(run, hello)) &&
             !(differs = differs_sizes(run, facts)))
        differs = with ? differs_facts(facts, with, &theirs.data) : differs_fingerprint(run, facts);
    config_release(&theirs);
    return differs;
}

static const char *world_run_text(void *self)
{
    return ((Run *)self)->text;
}

static const float *world_values(void *self)
{
    return ((Run *)self)->store.value;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* A line of metrics.jsonl: means since the last one, which *mean and *speed also take for the terminal. */
static void log_step(Run *run, double norm, double rate, double *mean, double *speed)
{
    RunState *s = &run->state;
    const double seconds = s->seconds - s->seconds_logged;
    *speed = seconds > 0 ? (double)s->tokens_since / seconds : 0;
    *mean = s->loss_since / (double)(s->version - s->logged);
    json_t *entry = json_pack("{s:I, s:f, s:f, s:f, s:f}", "step", (json_int_t)s->version, "epoch", output_epoch(run),
                              "loss", *mean, "grad_norm", norm, "learning_rate", rate);
    REQUIRE(entry);
    output_log(run, entry, "tokens_per_second", *speed);
    s->loss_since = 0;
    s->tokens_since = 0;
    s->logged = s->version;
    s->seconds_logged = s->seconds;
}

void run_apply_step(Run *run, const WalStep *step, const float *gradient)
{
    RunState *s = &run->state;
    const TrainConfig *train = &run->config.train;
    const double rate = schedule_rate(&run->schedule, step->step);
    const AdamW adam = { rate,          train->adam_beta1, train->adam_beta2, train->adam_epsilon, train->weight_decay,
                         step->step + 1 };
    const double norm = store_apply(&run->store, gradient, step->count, train->max_grad_norm, &adam);
    double loss = step->count > 0 ? step->loss / (double)step->count : 0;
    const double seconds = step->seconds - s->seconds;
    double speed = seconds > 0 ? (double)step->tokens / seconds : 0;
    s->version = step->step + 1;
    s->loss_total += loss;
    s->loss_since += loss;
    s->tokens += step->tokens;
    s->tokens_since += step->tokens;
    s->seconds = step->seconds;
    const bool logged = s->version % train->logging_steps == 0;
    if (logged)
        log_step(run, norm, rate, &loss, &speed);
    if (!run->replaying)
        progress_step(&run->progress, s->version, loss, speed, logged);
}

static bool fail(Run *run, char *text, int *code, const char **out)
{
    free(run->verdict);
    run->verdict = text;
    *out = text;
    *code = 5;
    return false;
}

static bool world_apply(void *self, const StepSums *sums, int *code, const char **text)
{
    Run *run = self;
    const long long number = (long long)sums->step + 1;
    const Slot *bad = store_bad_slot(&run->store, sums->gradient);
    if (bad)
        return fail(run,
                    xprintf("the gradient of \"%s\" is not finite in step %lld; the step was not "
                            "applied",
                            bad->name, number),
                    code, text);
    if (!isfinite(sums->loss))
        return fail(run, xprintf("the loss is not finite in step %lld; the step was not applied", number), code, text);
    const WalStep step = { sums->step, sums->count, sums->tokens, sums->loss,
                           run->clock_before + clock_now() - run->clock_start };
    const WalPart parts[] = { { &step, sizeof step }, { sums->gradient, (size_t)run->table->size * sizeof(float) } };
    run_record(run, WAL_STEP, parts, 2, number % run->config.ps.durable_every == 0);
    run_apply_step(run, &step, sums->gradient);
    return true;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

void run_take_evaluation(Run *run, json_t *entry)
{
    const char *metric = run->config.train.metric_for_best_model;
    char *key = text_starts(metric, "eval_") ? xstrdup(metric) : xprintf("eval_%s", metric);
    const json_t *figure = json_object_get(entry, key);
    run->state.evaluated = run->state.version;
    if (json_is_number(figure))
        best_rank(run, json_number_value(figure), run->state.version);
    else
        log_warn("eval", "metric_for_best_model is not among the metrics key=%s", key);
    free(key);
    output_log(run, entry, NULL, 0);
}

static void world_evaluated(void *self, int64_t version, const double *const *sums, const int64_t *sizes,
                            int64_t chunks)
{
    Run *run = self;
    const ModelArch *arch = run->arch;
    const MetricsSpec spec = { arch->task, arch->problem, arch->labels, (const char *const *)arch->label_names };
    Metrics metrics;
    metrics_init(&metrics, &spec);
    for (int64_t i = 0; i < chunks; i++)
        if (!metrics_merge(&metrics, sums[i], sizes[i]))
            log_error("eval", "sums of another size chunk=%lld", (long long)i);
    Figure figures[METRICS_FIGURES];
    const int count = metrics_figures(&metrics, figures);
    const double seconds = clock_now() - run->eval_start;
    json_t *entry =
        json_pack("{s:I, s:f, s:f, s:f, s:f}", "step", (json_int_t)version, "epoch", output_epoch(run), "eval_runtime",
                  seconds, "eval_samples_per_second", (double)run->facts.eval_examples / fmax(seconds, 1e-9),
                  "eval_steps_per_second", (double)chunks / fmax(seconds, 1e-9));
    for (int i = 0; i < count; i++) {
        char *key = xprintf("eval_%s", figures[i].name);
        const double value = figures[i].value;
        json_object_set_new(entry, key, isfinite(value) ? json_real(value) : json_null());
        free(key);
    }
    metrics_release(&metrics);
    char *text = json_dumps(entry, JSON_COMPACT);
    const WalPart part = { text, strlen(text) };
    run_record(run, WAL_EVAL, &part, 1, true);
    tell_evaluation(run, figures, count);
    free(text);
    run_take_evaluation(run, entry);
}

/* ---- what comes next ------------------------------------------------------------------------- */

static bool is_due(const Run *run, When when, int64_t steps)
{
    const int64_t v = run->state.version;
    if (v == 0 || when == WHEN_NO)
        return false;
    if (when == WHEN_EPOCH) /* Trainer ends an epoch also where training stops inside it */
        return v % run->per_epoch == 0 || v == run->total;
    return v % steps == 0;
}

static bool is_eval_due(const Run *run)
{
    const TrainConfig *t = &run->config.train;
    return run->facts.eval_chunks > 0 && run->state.evaluated != run->state.version &&
           is_due(run, t->eval_strategy, t->eval_steps > 0 ? t->eval_steps : t->logging_steps);
}

static bool is_save_due(const Run *run)
{
    const TrainConfig *t = &run->config.train;
    const bool last = t->save_strategy == WHEN_STEPS && run->state.version == run->total;
    return run->saved != run->state.version && run->tried != run->state.version &&
           (last || best_is_due(run) || is_due(run, t->save_strategy, t->save_steps));
}

/* A log that broke (a full disk) is mended by a checkpoint, tried every few seconds. */
static bool is_mending_due(Run *run)
{
    const double pause = 5, now = clock_now();
    if (!run->wal.broken || now < run->mend_at)
        return false;
    const bool due = run->mend_at > 0; /* it broke just now: there is no room yet */
    run->mend_at = now + pause;
    return due;
}

/* Order of Trainer at the end of a step: log, evaluate, save. */
static LeaseKind world_next(void *self, int64_t version, int *code, const char **text)
{
    Run *run = self;
    *code = 0;
    *text = NULL;
    REQUIRE(version == run->state.version);
    if (run->complete)
        return LEASE_STOP;
    if (is_eval_due(run)) {
        run->eval_start = clock_now();
        return LEASE_EVAL;
    }
    Err err = { 0 };
    const bool due = is_save_due(run), mending = is_mending_due(run);
    if ((due || mending) && !run_checkpoint_now(run, &err)) {
        log_error("save", "no checkpoint at step %lld, the run goes on: %s (%s)", (long long)version, err.what,
                  err.where);
        run->tried = version; /* not again at this step */
    } else if (mending) {
        log_info("save", "steps are durable again, checkpoint at step=%lld", (long long)version);
    }
    return version >= run->total || run->state.stop_early ? LEASE_STOP : LEASE_TRAIN;
}

CoreWorld run_world(Run *run)
{
    return (CoreWorld){ run,         world_begin, world_arithmetic, world_differs, world_run_text,
                        world_apply, world_next,  world_evaluated,  world_values };
}
