#include "ps/advance.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/config_meta.h"
#include "common/plan/steps.h"
#include "common/wire/facts.h"
#include "ps/best.h"
#include "ps/history.h"

#include <math.h>
#include <stdlib.h>

int64_t advance_length(const Run *run)
{
    const TrainConfig *train = &run->config.train;
    return steps_total(run->per_epoch, train->num_train_epochs, train->max_steps);
}

void advance_begin(Run *run, const HelloFacts *facts, int64_t M, int64_t total)
{
    const TrainConfig *train = &run->config.train;
    run->facts = *facts;
    run->M = M;
    run->plan = facts_plan(facts, config_digest(&run->config, true), M);
    run->basis = facts_plan(facts, config_digest(&run->config, false), M);
    run->begun = true;
    run->per_epoch = steps_per_epoch(facts->examples, config_step_size(&run->config));
    run->total = total > 0 ? total : advance_length(run);
    Err err = { 0 };
    const bool known =
        schedule_init(&run->schedule, train->schedule, train->learning_rate, train->schedule_options, &err);
    REQUIRE(known); /* config_check has seen to it */
    run->schedule.warmup = schedule_warmup(train->warmup_steps, train->warmup_ratio, run->total);
    run->schedule.total = run->total;
}

/* A line of metrics.jsonl: means since the last one, which *mean and *speed also take for the terminal. */
static void log_step(Run *run, double norm, double rate, double *mean, double *speed)
{
    RunState *s = &run->state;
    const double seconds = s->seconds - s->seconds_logged;
    *speed = seconds > 0 ? (double)s->tokens_since / seconds : 0;
    const int64_t counted = s->version - s->logged - s->skipped_since;
    *mean = counted > 0 ? s->loss_since / (double)counted : 0;
    json_t *entry = json_pack("{s:I, s:f, s:f, s:f, s:f}", "step", (json_int_t)s->version, "epoch", history_epoch(run),
                              "loss", *mean, "grad_norm", norm, "learning_rate", rate);
    REQUIRE(entry);
    if (s->skipped_since > 0)
        json_object_set_new(entry, "skipped", json_integer(s->skipped_since));
    if (counted == 0) /* all were skipped */
        json_object_set_new(entry, "loss", json_null());
    const Allocator *allocator = &run->store.allocator;
    if (allocator->masked) {
        json_object_set_new(entry, "budget", json_integer(allocator_count(allocator)));
        json_object_set_new(entry, "rank_threshold", json_real(allocator->threshold));
    }
    history_add(run, entry, "tokens_per_second", *speed);
    s->loss_since = 0;
    s->skipped_since = 0;
    s->tokens_since = 0;
    s->logged = s->version;
    s->seconds_logged = s->seconds;
}

/* What follows from it, whether it was applied or not. */
static void end_step(Run *run, const StepMade *step, double norm, double rate, double loss)
{
    RunState *s = &run->state;
    const double seconds = step->seconds - s->seconds;
    double speed = seconds > 0 ? (double)step->tokens / seconds : 0;
    s->version = step->step + 1;
    ledger_add(&s->ledger, step->batch);
    s->plateau.reduced = step->reduced; /* of a replayed one the record counts, by whichever metric it came */
    s->tokens += step->tokens;
    s->tokens_since += step->tokens;
    s->seconds = step->seconds;
    const bool logged = s->version % run->config.train.logging_steps == 0;
    if (logged)
        log_step(run, norm, rate, &loss, &speed);
    if (!run->replaying)
        progress_step(&run->progress, s->version, loss, speed, logged);
}

void advance_step(Run *run, const StepMade *step, float *gradient)
{
    RunState *s = &run->state;
    const TrainConfig *train = &run->config.train;
    const double highest = schedule_rate(&run->schedule, step->step) / (1 + step->behind),
                 rate = plateau_rate(&run->schedule, highest, step->reduced);
    rates_set(run->store.rates, run->adapted.table->count, &run->schedule, highest, step->reduced);
    if (step->weight == STEP_SKIPPED) {
        s->skipped++; /* values and moments stay; the clock goes on, as with PyTorch's loss scaler */
        s->skipped_since++;
        end_step(run, step, 0, rate, 0);
        return;
    }
    const AdamW adam = { 0, train->adam_beta1, train->adam_beta2, train->adam_epsilon, 0, step->step + 1 - s->skipped };
    double penalty;
    const double norm = store_apply(&run->store, gradient, step->weight, train->max_grad_norm, &adam, &penalty);
    allocator_step(&run->store.allocator, run->store.value, gradient, step->step, run->total);
    const double loss = (step->weight > 0 ? step->loss / step->weight : 0) + penalty;
    s->loss_total += loss;
    s->loss_since += loss;
    end_step(run, step, norm, rate, loss);
}

/* The learning rate of the next step, by an evaluation's figure. */
static void follow(Run *run, double figure)
{
    Plateau *p = &run->state.plateau;
    const double highest = schedule_rate(&run->schedule, run->state.version),
                 before = plateau_rate(&run->schedule, highest, p->reduced);
    plateau_evaluated(p, &run->schedule, figure);
    const double now = plateau_rate(&run->schedule, highest, p->reduced);
    if (now < before && !run->replaying)
        log_info("train", "evaluations do not get better: the learning rate falls from %g to %g", before, now);
}

void advance_evaluation(Run *run, json_t *entry)
{
    const char *metric = run->config.train.metric_for_best_model;
    char *key = text_starts(metric, "eval_") ? xstrdup(metric) : xprintf("eval_%s", metric);
    const json_t *figure = json_object_get(entry, key);
    run->state.evaluated = run->state.version;
    if (schedule_is_measured(run->schedule.kind))
        follow(run, json_is_number(figure) ? json_number_value(figure) : NAN);
    if (json_is_number(figure))
        best_rank(run, json_number_value(figure), run->state.version);
    else
        log_warn("eval", "metric_for_best_model is not among the metrics key=%s", key);
    free(key);
    history_add(run, entry, NULL, 0);
}
