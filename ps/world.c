/* Every change goes to the log before it is made, so that replaying the log makes it again. */
#include "ps/world.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/plan/steps.h"
#include "ps/best.h"
#include "ps/history.h"
#include "ps/inputs.h"
#include "ps/journal.h"
#include "ps/piece_tokens.h"
#include "ps/refuse.h"
#include "ps/run.h"
#include "ps/save.h"
#include "ps/tell.h"
#include "ps/weigh.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- begin ----------------------------------------------------------------------------------- */

/* AdaLoRA: what PEFT's defaults, or a total_step of another run, do in silence. */
static void warn_course(const Run *run)
{
    const Allocator *a = &run->store.allocator;
    if (!a->table)
        return;
    const long long steps = (long long)run->total, total = (long long)allocator_total(a, run->total);
    log_info("run", "AdaLoRA: %lld triplets of %d modules, lora.total_step=%lld (%s)", (long long)a->table->triplets,
             (int)(a->table->triplets / a->ada.init_r), total, a->ada.total_step > 0 ? "given" : "the run's");
    if (total - a->ada.tfinal >= steps && a->ada.total_step > 0)
        log_warn("run",
                 "lora.total_step - lora.tfinal is %lld, and the run ends at step %lld: lora.target_r is not "
                 "reached",
                 total - (long long)a->ada.tfinal, steps);
    else if (a->ada.tfinal == 0 && total == steps)
        log_warn("run", "lora.tfinal is 0: the last mask keeps a little more than lora.target_r");
}

static int64_t world_begin(void *self, const HelloFacts *facts, int64_t replicas, uint64_t *plan)
{
    Run *run = self;
    Err err = { 0 };
    if (!run->begun) {
        piece_tokens_settle(run);
        const ParallelConfig *p = &run->config.parallel;
        const int64_t M = p->micro_batches > 0 ? p->micro_batches
                                               : steps_micro_batches(run->config.train.batch_size, facts->longest,
                                                                     config_piece_tokens(&run->config), replicas);
        advance_begin(run, facts, M, 0);
        char number[24], digest[24];
        snprintf(number, sizeof number, "%lld", (long long)M);
        snprintf(digest, sizeof digest, "%016llx", (unsigned long long)facts->fingerprint);
        if (!config_set(&run->config, "parallel.micro_batches", number, &err) ||
            !config_set(&run->config, "parallel.arithmetic", facts->arithmetic, &err) ||
            !config_set(&run->config, "parallel.fingerprint", digest, &err) || !save_settings(run, &err))
            log_warn("save", "run.yaml does not say what the run fixed: %s", err.what);
        journal_begin(run);
        inputs_note(run);
    }
    progress_init(&run->progress, run->state.version, run->total);
    run->clock_before = run->state.seconds;
    run->clock_start = clock_now();
    log_info("run", "steps=%lld micro_batches=%lld trainable=%lld", (long long)run->total, (long long)run->M,
             (long long)run->adapted.table->trainable);
    warn_course(run);
    *plan = run->plan;
    return run->M;
}

static const char *world_arithmetic(void *self, bool *begun)
{
    const Run *run = self;
    const char *name = run->config.parallel.arithmetic;
    *begun = run->begun;
    return strcmp(name, "auto") == 0 ? NULL : name;
}

static char *world_differs(void *self, const Msg *hello, const HelloFacts *first)
{
    return refuse_worker(self, hello, first);
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
    char *fault = weigh_step(run, sums);
    const bool skip = fault && run->config.train.on_nan == ON_NAN_SKIP;
    if (fault && !skip)
        return fail(run, fault, code, text);
    if (skip)
        log_warn("train", "%s", fault);
    free(fault);
    const double weight = skip ? STEP_SKIPPED : sums->weight;
    const StepMade step = { sums->step,  sums->tokens, run->state.plateau.reduced,
                            weight,      sums->loss,   run->clock_before + clock_now() - run->clock_start,
                            sums->batch, sums->behind };
    journal_step(run, &step, sums->gradient);
    advance_step(run, &step, sums->gradient);
    return true;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

/* Of several tasks: eval_TASK_loss, eval_TASK_accuracy ... */
static void add_tasks(json_t *entry, const Metrics *metrics)
{
    for (int t = 0; t < metrics->spec.task_count; t++) {
        Figure figures[METRICS_FIGURES];
        const int count = metrics_task_figures(metrics, t, figures);
        for (int i = 0; i < count; i++) {
            char *key = xprintf("eval_%s_%s", metrics->spec.tasks[t].name, figures[i].name);
            json_object_set_new(entry, key, isfinite(figures[i].value) ? json_real(figures[i].value) : json_null());
            free(key);
        }
    }
}

static void world_evaluated(void *self, int64_t version, const double *const *sums, const int64_t *sizes,
                            int64_t chunks)
{
    Run *run = self;
    const ModelArch *arch = run->adapted.arch;
    const MetricsSpec spec = { arch->head.task->type, arch->head.problem,
                               arch->head.labels,     (const char *const *)arch->head.label_names,
                               arch->head.embed,      arch->head.tasks,
                               arch->head.task_count };
    Metrics metrics;
    metrics_init(&metrics, &spec);
    for (int64_t i = 0; i < chunks; i++)
        if (!metrics_merge(&metrics, sums[i], sizes[i]))
            log_error("eval", "sums of another size chunk=%lld", (long long)i);
    Figure figures[METRICS_FIGURES];
    const int count = metrics_figures(&metrics, figures);
    const double plain = figures[0].value, penalty = store_penalty(&run->store);
    figures[0].value += penalty; /* as Trainer's eval_loss; perplexity is of the plain loss */
    const double seconds = clock_now() - run->eval_start;
    json_t *entry =
        json_pack("{s:I, s:f, s:f, s:f, s:f}", "step", (json_int_t)version, "epoch", history_epoch(run), "eval_runtime",
                  seconds, "eval_samples_per_second", (double)run->facts.eval_examples / fmax(seconds, 1e-9),
                  "eval_steps_per_second", (double)chunks / fmax(seconds, 1e-9));
    for (int i = 0; i < count; i++) {
        char *key = xprintf("eval_%s", figures[i].name);
        const double value = figures[i].value;
        json_object_set_new(entry, key, isfinite(value) ? json_real(value) : json_null());
        free(key);
    }
    add_tasks(entry, &metrics);
    if (penalty > 0)
        json_object_set_new(entry, "eval_loss_plain", isfinite(plain) ? json_real(plain) : json_null());
    metrics_release(&metrics);
    journal_evaluation(run, entry);
    tell_evaluation(run, figures, count);
    advance_evaluation(run, entry);
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

/* ps.on_disk_full: not a step is made that the disk does not hold. */
static LeaseKind wait_for_disk(Run *run, int *code, const char **text)
{
    if (run->config.ps.on_disk_full == ON_DISK_PAUSE) {
        if (!run->paused)
            log_error("save", "paused at step=%lld until the disk takes steps again: %s", (long long)run->state.version,
                      run->wal.why);
        run->paused = true;
        return LEASE_WAIT;
    }
    fail(run, xprintf("steps are not durable: %s; what is durable stays, and the same command goes on", run->wal.why),
         code, text);
    *code = 1;
    return LEASE_STOP;
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
    if ((due || mending) && !save_checkpoint(run, &err)) {
        log_error("save", "no checkpoint at step %lld, the run goes on: %s (%s)", (long long)version, err.what,
                  err.where);
        run->tried = version; /* not again at this step */
    } else if (mending) {
        log_info("save", "steps are durable again, checkpoint at step=%lld", (long long)version);
        run->paused = false;
    }
    if (version < run->total)
        save_cut(run);
    if (run->draining && version < run->total && !run->state.stop_early) {
        *code = RUN_DRAINED;
        *text = "the parameter server was drained; the same command goes on";
        return LEASE_STOP;
    }
    const bool over = version >= run->total || run->state.stop_early;
    if (run->wal.broken && !over && run->config.ps.on_disk_full != ON_DISK_CONTINUE)
        return wait_for_disk(run, code, text);
    return over ? LEASE_STOP : LEASE_TRAIN;
}

/* The next step at which something is due that is so every `steps` steps. */
static int64_t next_of(int64_t version, int64_t steps)
{
    return version - version % steps + steps;
}

/* Evaluations and checkpoints are of a version that all steps before it have made, and no other. */
static int64_t world_until(void *self, int64_t version)
{
    const Run *run = self;
    const TrainConfig *t = &run->config.train;
    const int64_t eval_steps = t->eval_steps > 0 ? t->eval_steps : t->logging_steps;
    const bool evaluates = run->facts.eval_chunks > 0 && t->eval_strategy != WHEN_NO;
    int64_t until = run->total;
    if (evaluates) {
        const int64_t eval = next_of(version, t->eval_strategy == WHEN_EPOCH ? run->per_epoch : eval_steps);
        until = eval < until ? eval : until;
    }
    if (t->save_strategy != WHEN_NO) {
        const int64_t save = next_of(version, t->save_strategy == WHEN_EPOCH ? run->per_epoch : t->save_steps);
        until = save < until ? save : until;
    }
    return until;
}

static PushVerdict world_weigh(void *self, const PushSum *push, const char **text)
{
    return weigh_push(self, push, text);
}

CoreOptions world_options(const Run *run)
{
    const PsConfig *ps = &run->config.ps;
    return (CoreOptions){ .run = run->id,
                          .version = run->state.version,
                          .missing = run->state.ledger.missing,
                          .missing_count = run->state.ledger.count,
                          .mode = ps->mode,
                          .staleness = ps->staleness,
                          .wire_dtype = ps->wire_dtype };
}

CoreWorld world_of(Run *run)
{
    return (CoreWorld){ run,        world_begin, world_arithmetic, world_differs, world_run_text, world_apply,
                        world_next, world_until, world_evaluated,  world_values,  world_weigh };
}
