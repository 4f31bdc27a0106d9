#include "launch/cmd_compare.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/slots/slots.h"
#include "launch/command.h"
#include "launch/trials/comparison.h"
#include "launch/trials/contenders.h"
#include "launch/trials/few_shot.h"
#include "launch/trials/one_base.h"
#include "launch/trials/place.h"
#include "launch/trials/runner.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_METHODS = 16, MOST_SEEDS = 100 };

typedef struct CompareOptions {
    const char *methods, *seeds, *out, *metric, *jobs, *ranks, *few_shot;
    const char *with[OPTION_MOST]; /* METHOD:KEY=VALUE */
    const char *from[OPTION_MOST]; /* NAME=DIR */
    bool full, overwrite, table;
    int code; /* of the whole, where there is no error */
} CompareOptions;

/* What is compared. */
typedef struct Comparing {
    const Contender *ways[MOST_METHODS];
    const char *names[MOST_METHODS];
    char *starts[MOST_METHODS]; /* folder of the adapter that a way begins with; NULL: the run file's; owned */
    char *own_names[MOST_METHODS]; /* of such ways; owned */
    int count;
    int64_t shots[FEW_SHOT_COLUMNS];
    int columns; /* of a few-shot table; 0: each run is of all rows */
    int64_t seeds, seed[MOST_SEEDS];
    TrialList trials;
} Comparing;

static bool add_way(Comparing *f, const char *name, Err *err)
{
    const Contender *way = contender_find(name, err);
    for (int i = 0; way && i < f->count; i++)
        if (f->ways[i] == way)
            return true;
    if (way && f->count == MOST_METHODS)
        return err_set(err, ERR_INPUT, "more than %d methods are compared", MOST_METHODS);
    if (way) {
        f->names[f->count] = contender_name(way);
        f->ways[f->count++] = way;
    }
    return way != NULL;
}

static bool read_ways(Comparing *f, const CompareOptions *o, Err *err)
{
    char *list = xstrdup(o->methods ? o->methods : "lora"), *rest = list, *word;
    bool ok = true;
    while (ok && (word = strsep(&rest, ",")))
        ok = add_way(f, word, err);
    free(list);
    return ok && (!o->full || add_way(f, "full", err));
}

/* --from=NAME=DIR: LoRA that begins with an adapter, as a way by that name. */
static bool add_start(Comparing *f, const char *word, Err *err)
{
    const size_t n = strcspn(word, "=");
    bool ok = n > 0 && word[n] == '=' && word[n + 1];
    char *name = xstrndup(word, n);
    Err none = { 0 };
    if (!ok) {
        err_set(err, ERR_INPUT, "'%.200s' is no NAME=FOLDER of an adapter", word);
        err_hint(err, "--from=meta=runs/meta");
    } else if (contender_find(name, &none)) {
        ok = err_set(err, ERR_INPUT, "'%s' is the name of a method", name);
        err_hint(err, "call it otherwise: --from=my_%s=%s", name, word + n + 1);
    } else if (f->count == MOST_METHODS) {
        ok = err_set(err, ERR_INPUT, "more than %d ways are compared", MOST_METHODS);
    }
    for (int i = 0; ok && i < f->count; i++)
        if (strcmp(f->names[i], name) == 0)
            ok = err_set(err, ERR_INPUT, "'%s' is there twice", name);
    if (!ok) {
        free(name);
        return err_at(err, "--from");
    }
    f->ways[f->count] = contender_find("lora", &none);
    f->starts[f->count] = path_absolute(word + n + 1);
    f->names[f->count] = f->own_names[f->count] = name;
    f->count++;
    return true;
}

/* Is an adapter there to begin with? Else the others would be trained before that is said. */
static bool check_start(const char *folder, Err *err)
{
    json_t *config = adapter_config_open(folder, err);
    json_decref(config);
    return config != NULL;
}

static bool read_starts(Comparing *f, const CompareOptions *o, Err *err)
{
    for (int i = 0; i < OPTION_MOST && o->from[i]; i++)
        if (!add_start(f, o->from[i], err) || (!o->table && !check_start(f->starts[f->count - 1], err)))
            return false;
    return true;
}

/* --few_shot: the same number of steps with each number of rows. */
static bool read_shots(Comparing *f, const CompareOptions *o, const TrialPlace *place, Err *err)
{
    char room[512];
    if (!o->few_shot)
        return true;
    f->columns = few_shot_read(f->shots, o->few_shot, err);
    if (f->columns == 0 || place->config.train.max_steps > 0)
        return f->columns > 0;
    err_set(err, ERR_INPUT, "few-shot runs are of as many steps, however many rows they have, and none are given");
    err_hint(err, "train.max_steps: 50");
    return err_at(err, "%s", config_where(&place->config, "train.max_steps", room, sizeof room));
}

static void release(Comparing *f)
{
    trial_list_release(&f->trials);
    for (int m = 0; m < f->count; m++) {
        free(f->starts[m]);
        free(f->own_names[m]);
    }
}

/* What is wrong with METHOD:KEY=VALUE; NULL: nothing. */
static const char *wrong_with(const Comparing *f, const char *word)
{
    const size_t n = strcspn(word, ":");
    bool known = false;
    for (int m = 0; m < f->count; m++)
        known |= strlen(f->names[m]) == n && strncmp(f->names[m], word, n) == 0;
    if (!known)
        return "begins with no method that is compared";
    if (!strchr(word, '='))
        return "sets no key";
    if (text_starts(word + n + 1, "train.output_dir="))
        return "is the command's own: each run has a folder in --out";
    if (text_starts(word + n + 1, "train.seed="))
        return "is the command's own: methods have the same seeds, train.seed and those behind it (--seeds)";
    return NULL;
}

static bool read_with(const Comparing *f, const CompareOptions *o, Err *err)
{
    for (int i = 0; i < OPTION_MOST && o->with[i]; i++) {
        const char *wrong = wrong_with(f, o->with[i]);
        if (!wrong)
            continue;
        err_set(err, ERR_INPUT, "'%.200s' %s", o->with[i], wrong);
        err_hint(err, "--with=full:train.learning_rate=2e-5");
        return err_at(err, "--with");
    }
    return true;
}

/* column: of a few-shot table, else -1. */
static void add_trial(Comparing *f, const CompareOptions *o, const TrialPlace *place, int m, int column, int64_t seed)
{
    char *rows = column >= 0 ? xprintf("%lldshot-", (long long)f->shots[column]) : xstrdup("");
    char *name = xprintf("%s-%sseed%lld", f->names[m], rows, (long long)seed);
    Trial *trial = trial_add(&f->trials, place->folder, name);
    CommandWords *changes = &trial->changes;
    const size_t n = strlen(f->names[m]);
    contender_changes(f->ways[m], &place->config, changes);
    if (f->starts[m])
        command_words_add(changes, xprintf("lora.init_adapter=%s", f->starts[m]));
    command_words_add(changes, xprintf("train.seed=%lld", (long long)seed));
    for (int i = 0; i < OPTION_MOST && o->with[i]; i++)
        if (strncmp(o->with[i], f->names[m], n) == 0 && o->with[i][n] == ':')
            command_words_add(changes, xstrdup(o->with[i] + n + 1));
    if (column >= 0)
        few_shot_changes(&place->config, f->shots[column], changes);
    free(name);
    free(rows);
}

static void add_trials(Comparing *f, const CompareOptions *o, const TrialPlace *place)
{
    for (int m = 0; m < f->count; m++)
        for (int c = f->columns > 0 ? 0 : -1; c < f->columns; c++)
            for (int64_t s = 0; s < f->seeds; s++)
                add_trial(f, o, place, m, c, f->seed[s]);
}

static bool prepare(Comparing *f, const CompareOptions *o, const TrialPlace *place, const char *file, Err *err)
{
    f->seeds = 1;
    if (!read_ways(f, o, err) || !read_starts(f, o, err) || !read_with(f, o, err) || !read_shots(f, o, place, err) ||
        (o->seeds && !option_int("seeds", o->seeds, 1, MOST_SEEDS, &f->seeds, err)))
        return false;
    for (int64_t s = 0; s < f->seeds; s++)
        f->seed[s] = (int64_t)place->config.train.seed + s;
    add_trials(f, o, place);
    return trial_check(&f->trials, file, &place->overrides, true, err);
}

static bool tell(const Comparing *f, const CompareOptions *o, const char *folder, Text *out, Err *err)
{
    const Comparison c = { &f->trials, f->names, f->count, (int)f->seeds, f->seed, o->metric };
    const FewShot few = { &f->trials, f->names, f->count, f->columns, (int)f->seeds, f->shots, o->metric };
    return f->columns > 0 ? few_shot_write(&few, folder, out, err) : comparison_write(&c, folder, out, err);
}

static bool train(CompareOptions *o, Comparing *f, const RunnerOptions *options, TrialPlace *place, Err *err)
{
    if (!place_take(place, err) || (options->jobs > 1 && !one_base_open(&f->trials, err)))
        return false;
    runner_signals();
    const bool ok = runner_run(&f->trials, options, err);
    o->code = ok ? runner_code(&f->trials) : runner_ended();
    one_base_close(&f->trials);
    return ok;
}

static bool work(CompareOptions *o, Comparing *f, TrialPlace *place, const char *file, Err *err)
{
    RunnerOptions options = { .file = file, .overrides = &place->overrides, .overwrite = o->overwrite };
    if (!runner_sizes(&options, o->jobs, o->ranks, err) || (!o->table && !train(o, f, &options, place, err)))
        return err->kind == ERR_NONE;
    Text out = { 0 };
    Err bad = { 0 };
    const bool ok = tell(f, o, place->folder, &out, &bad);
    if (ok)
        printf("%s\n%s are in %s\n", out.data,
               f->columns > 0 ? "few_shot.md, few_shot.json and few_shot.svg"
                              : "compare.md, compare.json, compare.svg and curves.svg",
               place->folder);
    else if (o->code == 0) /* else the runs have said why */
        *err = bad;
    text_release(&out);
    return ok || o->code != 0;
}

static bool run(void *self, const Arguments *given, Err *err)
{
    CompareOptions *o = self;
    TrialPlace place;
    Comparing field = { 0 };
    log_setup("lora", LOG_INFO);
    const char *file = given->positionals[0];
    const bool ok = place_open(&place, file, given->overrides, given->override_count, o->out, "-compare", err) &&
                    prepare(&field, o, &place, file, err) && work(o, &field, &place, file, err);
    release(&field);
    place_release(&place);
    return ok;
}

int cmd_compare(int argc, char **argv)
{
    CompareOptions options = { 0 };
    bool help = false;
    Text names = { 0 };
    text_adds(&names, "ways to train, with commas between them; default: lora. There are ");
    contender_names(&names);
    const Option own[] = {
        { "methods", "LIST", names.data, &options.methods, NULL },
        { "full", NULL, "every weight, too: at a tenth of the learning rate", NULL, &options.full },
        { "from", "NAME=DIR...", "LoRA that begins with this adapter, too: --from=meta=runs/meta", options.from, NULL },
        { "few_shot", "LIST",
          "instead of all rows so many of each class, drawn by the seed, and train.max_steps steps: --few_shot=0,4,16,64",
          &options.few_shot, NULL },
        { "seeds", "N", "runs of each, of train.seed and those behind it; default: 1", &options.seeds, NULL },
        { "with", "METHOD:KEY=VALUE...", "a key for one method: --with=full:train.learning_rate=2e-5", options.with,
          NULL },
        { "metric", "NAME", "what is compared; default: the first of accuracy, f1, pearson, mse, bleu, perplexity",
          &options.metric, NULL },
        { "out", "DIR", "folder of the runs and the table; default: train.output_dir-compare", &options.out, NULL },
        { "jobs", "N", "runs at a time, with one copy of the base; each then takes longer; default: 1", &options.jobs,
          NULL },
        { "ranks", "N", "worker processes of each run; default: the cores by --jobs", &options.ranks, NULL },
        { "table", NULL, "the table of what is there, without training", NULL, &options.table },
        { "overwrite", NULL, "start all runs anew", NULL, &options.overwrite },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = {
        "lora compare",
        "RUN.yaml",
        "one task by LoRA, its relatives and full fine-tuning: what each takes, and how good it is",
        own,
        LENGTH(own),
        true,
        0
    };
    const int code = command_main(&(Command){ &table, &help, 1, 1, run, &options }, argc, argv);
    text_release(&names);
    return code ? code : options.code;
}
