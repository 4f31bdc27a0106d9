/* DESIGN: a trial has a parameter server of its own, as any run. One server of several runs would put the log, the refusals
 * and the end of each behind those of the others; what trials have in common that is worth sharing is the base, and that is
 * the workers' (trials/one_base.h). */
#include "launch/cmd_sweep.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "launch/command.h"
#include "launch/trials/halving.h"
#include "launch/trials/one_base.h"
#include "launch/trials/place.h"
#include "launch/trials/standings.h"

#include <stdlib.h>

typedef struct SweepOptions {
    const char *random, *seed, *metric, *out, *jobs, *ranks, *keep, *first, *trial;
    bool grid, halving, table, words, overwrite;
    int64_t n, draws, one_in, first_rung, chosen; /* numbers of those above */
    RunnerOptions runner;
    int code; /* of the whole, where there is no error */
} SweepOptions;

typedef struct Sweep {
    Axes axes;
    TrialList trials;
    int64_t *looked; /* [trials] */
} Sweep;

static bool read_numbers(SweepOptions *o, Err *err)
{
    o->one_in = 3;
    o->first_rung = 1;
    return (!o->random || option_int("random", o->random, 1, AXES_TRIALS, &o->n, err)) &&
           (!o->seed || option_int("seed", o->seed, 0, INT64_MAX, &o->draws, err)) &&
           (!o->keep || option_int("keep", o->keep, 2, 1000, &o->one_in, err)) &&
           (!o->first || option_int("first", o->first, 1, 1000000, &o->first_rung, err)) &&
           (!o->trial || option_int("trial", o->trial, 1, AXES_TRIALS, &o->chosen, err)) &&
           runner_sizes(&o->runner, o->jobs, o->ranks, err);
}

static bool refuse(const char *what, const char *hint, Err *err)
{
    err_set(err, ERR_INPUT, "%s", what);
    err_hint(err, "%s", hint);
    return err_at(err, "lora sweep");
}

static bool check_options(const SweepOptions *o, int settings, Err *err)
{
    if (settings == 0)
        return refuse("there is no setting to go over", "lora sweep RUN.yaml --grid 'lora.r=4,8,16'", err);
    if (o->grid == (o->random != NULL))
        return refuse("trials are those of a grid or drawn at random, one of the two", "--grid, or --random=N", err);
    if ((o->keep || o->first) && !o->halving)
        return refuse("without halving every trial goes to its end", "--halving, or without --keep and --first", err);
    if (o->chosen > 0 && o->halving)
        return refuse("who goes on in halving depends on the other trials", "--trial without --halving", err);
    if (o->table && o->halving)
        return refuse("how far each trial's figures count is known while halving goes on",
                      "without --table: what is done is not done again", err);
    if (o->words && o->chosen == 0)
        return refuse("of which trial?", "--trial=N --words", err);
    return true;
}

static bool make_trials(Sweep *s, const SweepOptions *o, const TrialPlace *place, Err *err)
{
    if (o->grid)
        return axes_grid(&s->axes, &s->trials, place->folder, err);
    axes_random(&s->axes, &s->trials, place->folder, o->n, (uint64_t)o->draws);
    return true;
}

/* A setting is gone over, or is one value for all trials. */
static bool check_apart(const Axes *axes, const Arguments *given, Err *err)
{
    for (int i = 0; i < axes->count; i++) {
        const char *all = arguments_key(given, axes->items[i].key);
        if (!all)
            continue;
        err_set(err, ERR_INPUT, "the trials go over %s, and --%s=%s says one value for all", axes->items[i].key,
                axes->items[i].key, all);
        return err_at(err, "lora sweep");
    }
    return true;
}

static bool prepare(Sweep *s, SweepOptions *o, const TrialPlace *place, const Arguments *given, Err *err)
{
    if (!axes_read(&s->axes, given->positionals + 1, given->positional_count - 1, !o->grid, err) ||
        !check_apart(&s->axes, given, err) || !make_trials(s, o, place, err) ||
        !trial_check(&s->trials, given->positionals[0], &place->overrides, true, err))
        return false;
    s->looked = xcalloc((size_t)s->trials.count, sizeof *s->looked);
    if (o->chosen <= s->trials.count)
        return true;
    err_set(err, ERR_INPUT, "there are %d trials", s->trials.count);
    return err_at(err, "--trial=%lld", (long long)o->chosen);
}

/* The chosen trial as words for `lora train` or lora_ps, one a line: whoever starts it otherwise (launch/slurm). */
static void print_words(const Sweep *s, const SweepOptions *o, const TrialPlace *place, const char *file)
{
    const Trial *trial = &s->trials.items[o->chosen - 1];
    puts(file);
    for (int i = 0; i < place->overrides.count; i++)
        printf("--%s\n", place->overrides.items[i]);
    for (int i = 0; i < trial->changes.count; i++)
        printf("--%s\n", trial->changes.items[i]);
    printf("--train.output_dir=%s\n", trial->folder);
}

static bool work(Sweep *s, SweepOptions *o, TrialPlace *place, const char *file, Err *err)
{
    RunnerOptions *options = &o->runner;
    const Halving halving = { o->one_in, o->first_rung, o->metric, s->looked };
    options->file = file;
    options->overrides = &place->overrides;
    options->overwrite = o->overwrite;
    for (int i = 0; o->chosen > 0 && i < s->trials.count; i++)
        if (i + 1 != o->chosen)
            s->trials.items[i].state = TRIAL_DONE; /* by somebody else */
    if (!(o->chosen == 0 ? place_take(place, err) : place_make(place, err)) || !one_base_open(&s->trials, err))
        return false;
    runner_signals();
    const bool ok = o->halving ? halving_run(&halving, &s->trials, options, err) : runner_run(&s->trials, options, err);
    o->code = ok ? runner_code(&s->trials) : runner_ended();
    if (ok && o->chosen > 0)
        o->code = s->trials.items[o->chosen - 1].state == TRIAL_FAILED ? s->trials.items[o->chosen - 1].code : 0;
    one_base_close(&s->trials);
    return ok;
}

static bool say(const Sweep *s, const SweepOptions *o, const TrialPlace *place, Err *err)
{
    Text out = { 0 };
    const StandingsOptions standings = { &s->trials, &s->axes, s->looked, o->metric };
    const bool ok = standings_write(&standings, place->folder, &out, err);
    if (ok)
        printf("%ssweep.md, sweep.json and sweep.svg are in %s\n", out.data, place->folder);
    text_release(&out);
    return ok;
}

static bool run(void *self, const Arguments *given, Err *err)
{
    SweepOptions *o = self;
    TrialPlace place = { .lock = -1 };
    Sweep sweep = { 0 };
    const char *file = given->positionals[0];
    log_setup("lora", LOG_INFO);
    bool ok = read_numbers(o, err) && check_options(o, given->positional_count - 1, err) &&
              place_open(&place, file, given->overrides, given->override_count, o->out, "-sweep", err) &&
              prepare(&sweep, o, &place, given, err);
    if (ok && o->words)
        print_words(&sweep, o, &place, file);
    const bool worked = ok && !o->words && (o->table || work(&sweep, o, &place, file, err));
    if (worked && (o->chosen == 0 || o->table)) {
        Err bad = { 0 };
        if (!say(&sweep, o, &place, &bad) && o->code == 0) /* else the trials have said why */
            *err = bad;
    }
    axes_release(&sweep.axes);
    trial_list_release(&sweep.trials);
    free(sweep.looked);
    place_release(&place);
    return err->kind == ERR_NONE;
}

int cmd_sweep(int argc, char **argv)
{
    SweepOptions options = { 0 };
    bool help = false;
    const Option own[] = {
        { "grid", NULL, "a trial for each combination of the settings' values", NULL, &options.grid },
        { "random", "N", "N trials with values drawn at random; 'KEY=LOW..HIGH' is a range", &options.random, NULL },
        { "seed", "N", "of what is drawn; default: 0", &options.seed, NULL },
        { "halving", NULL, "behind each rung only the best trials go on", NULL, &options.halving },
        { "keep", "N", "of halving: one in N goes on, and the next rung is N times as far; default: 3", &options.keep,
          NULL },
        { "first", "N", "of halving: evaluations before the first rung; default: 1", &options.first, NULL },
        { "metric", "NAME", "what is best; default: the first of accuracy, f1, pearson, mse, bleu, perplexity",
          &options.metric, NULL },
        { "jobs", "N", "trials at a time, with one copy of the base; default: 1", &options.jobs, NULL },
        { "ranks", "N", "worker processes of each; default: the cores by --jobs", &options.ranks, NULL },
        { "out", "DIR", "folder of the runs and the table; default: train.output_dir-sweep", &options.out, NULL },
        { "table", NULL, "the table of what is there, without training", NULL, &options.table },
        { "overwrite", NULL, "start all trials anew", NULL, &options.overwrite },
        { "help", NULL, "this text", NULL, &help },
        { "trial", "N", "only the N-th, without a table: one task of an array (launch/slurm/sweep.sbatch)",
          &options.trial, NULL },
        { "words", NULL, "with --trial: print its words for lora train or lora_ps, and stop", NULL, &options.words },
    };
    enum { FOR_SCRIPTS = 2 }; /* the last ones */
    const OptionTable table = { "lora sweep",
                                "RUN.yaml SETTING=VALUE,VALUE...",
                                "which rank, which rate: a run for each combination of settings, and which is best",
                                own,
                                LENGTH(own),
                                true,
                                LENGTH(own) - FOR_SCRIPTS };
    const int code = command_main(&(Command){ &table, &help, 1, AXES_MOST + 1, run, &options }, argc, argv);
    return code ? code : options.code;
}
