#include "launch/cmd_compare.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "launch/command.h"
#include "launch/trials/comparison.h"
#include "launch/trials/contenders.h"
#include "launch/trials/place.h"
#include "launch/trials/runner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_METHODS = 8, MOST_SEEDS = 100 };

typedef struct CompareOptions {
    const char *methods, *seeds, *out, *metric, *ranks;
    const char *with[OPTION_MOST]; /* METHOD:KEY=VALUE */
    bool full, overwrite, table;
    int code; /* of the whole, where there is no error */
} CompareOptions;

/* What is compared. */
typedef struct Comparing {
    const Contender *ways[MOST_METHODS];
    const char *names[MOST_METHODS];
    int count;
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

static bool read_with(const Comparing *f, const CompareOptions *o, Err *err)
{
    for (int i = 0; i < OPTION_MOST && o->with[i]; i++) {
        const char *word = o->with[i];
        const size_t n = strcspn(word, ":");
        bool known = false;
        for (int m = 0; m < f->count; m++)
            known |= strlen(f->names[m]) == n && strncmp(f->names[m], word, n) == 0;
        if (known && strchr(word, '='))
            continue;
        err_set(err, ERR_INPUT, known ? "'%.200s' sets no key" : "'%.200s' begins with no method that is compared",
                word);
        err_hint(err, "--with=full:train.learning_rate=2e-5");
        return err_at(err, "--with");
    }
    return true;
}

static void add_trials(Comparing *f, const CompareOptions *o, const TrialPlace *place)
{
    for (int m = 0; m < f->count; m++)
        for (int64_t s = 0; s < f->seeds; s++) {
            char *name = xprintf("%s-seed%lld", f->names[m], (long long)f->seed[s]);
            Trial *trial = trial_add(&f->trials, place->folder, name);
            const size_t n = strlen(f->names[m]);
            contender_changes(f->ways[m], &place->config, &trial->changes);
            command_words_add(&trial->changes, xprintf("train.seed=%lld", (long long)f->seed[s]));
            for (int i = 0; i < OPTION_MOST && o->with[i]; i++)
                if (strncmp(o->with[i], f->names[m], n) == 0 && o->with[i][n] == ':')
                    command_words_add(&trial->changes, xstrdup(o->with[i] + n + 1));
            free(name);
        }
}

static bool prepare(Comparing *f, const CompareOptions *o, const TrialPlace *place, const char *file, Err *err)
{
    f->seeds = 1;
    if (!read_ways(f, o, err) || !read_with(f, o, err) ||
        (o->seeds && !option_int("seeds", o->seeds, 1, MOST_SEEDS, &f->seeds, err)))
        return false;
    for (int64_t s = 0; s < f->seeds; s++)
        f->seed[s] = (int64_t)place->config.train.seed + s;
    add_trials(f, o, place);
    return trial_check(&f->trials, file, &place->overrides, true, err);
}

static bool work(CompareOptions *o, Comparing *f, TrialPlace *place, const char *file, Err *err)
{
    int64_t ranks = sysconf(_SC_NPROCESSORS_ONLN);
    if (o->ranks && !option_int("ranks", o->ranks, 1, 4096, &ranks, err))
        return false;
    const RunnerOptions options = { file, &place->overrides, 1, ranks, o->overwrite };
    if (!o->table) {
        if (!place_take(place, err))
            return false;
        runner_signals();
        const bool ok = runner_run(&f->trials, &options, err);
        o->code = ok ? runner_code(&f->trials) : runner_ended();
        if (!ok)
            return err->kind == ERR_NONE;
    }
    Text out = { 0 };
    const Comparison c = { &f->trials, f->names, f->count, (int)f->seeds, f->seed, o->metric };
    Err bad = { 0 };
    const bool ok = comparison_write(&c, place->folder, &out, &bad);
    if (ok)
        printf("%s\ncompare.md, compare.json, compare.svg and curves.svg are in %s\n", out.data, place->folder);
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
    trial_list_release(&field.trials);
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
        { "seeds", "N", "runs of each, of train.seed and those behind it; default: 1", &options.seeds, NULL },
        { "with", "METHOD:KEY=VALUE...", "a key for one method: --with=full:train.learning_rate=2e-5", options.with,
          NULL },
        { "metric", "NAME", "what is compared; default: the first of accuracy, f1, pearson, mse, bleu, perplexity",
          &options.metric, NULL },
        { "out", "DIR", "folder of the runs and the table; default: train.output_dir-compare", &options.out, NULL },
        { "ranks", "N", "worker processes of each run; default: one a core", &options.ranks, NULL },
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
