#include "launch/eval_rows.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/run_facts.h"
#include "common/config/run_folder.h"
#include "worker/train/rows.h"

#include <stdlib.h>
#include <string.h>

/* ---- which run ------------------------------------------------------------------------- */

/* The configuration of the adapter's run; *any false: it is of none, or that is not known. */
static bool open_run(Config *there, bool *any, const EvalRun *run, Err *err)
{
    char *file = run->adapter ? run_folder_file(run->adapter) : NULL;
    *any = file != NULL;
    const bool ok = !file || config_load(there, &(ConfigSources){ .file = file }, err);
    free(file);
    return ok;
}

static bool refuse(const EvalRun *run, const char *what, const char *keys, Err *err)
{
    err_set(err, ERR_INPUT, "%s%s%s", what, keys[0] ? ": " : "", keys);
    err_hint(err, "rows that were trained on would be called held back; name other rows: --data.test=FILE");
    return err_at(err, "%s", run->adapter);
}

/* Do the keys say the rows that the run held back? */
static bool check_keys(const Config *c, const EvalRun *run, Err *err)
{
    Config there = { 0 };
    Text keys = { 0 };
    bool any;
    bool ok = open_run(&there, &any, run, err);
    if (ok && any && there.data.validation_split <= 0)
        ok = refuse(run, "the adapter's run held no rows back: all of its data.train were trained on", "", err);
    else if (ok && any && !config_same_run(c, &there, COMPARE_ROWS, &keys))
        ok = refuse(run, "the adapter's run held other rows back", keys.data, err);
    text_release(&keys);
    config_release(&there);
    return ok;
}

/* ---- choosing ---------------------------------------------------------------------------- */

static bool choose(EvalRows *rows, const Config *c, const Arguments *given, Err *err)
{
    const DataConfig *d = &c->data;
    const bool other = !arguments_key(given, "data.test") &&
                       (arguments_key(given, "data.validation") || arguments_key(given, "data.validation_split"));
    *rows = (EvalRows){ .files = &d->test, .key = "data.test" };
    if (d->test.count > 0 && !(other && (d->validation.count > 0 || d->validation_split > 0)))
        return true;
    *rows = (EvalRows){ .files = &d->validation, .key = "data.validation" };
    if (d->validation.count > 0)
        return true;
    *rows = (EvalRows){ .files = &d->train, .key = "data.train", .share = d->validation_split, .seed = c->train.seed };
    if (d->train.count > 0 && d->validation_split > 0)
        return true;
    err_set(err, ERR_INPUT, "there is nothing to evaluate on");
    return err_hint(err, "give --data.test=FILE, or data.validation or data.validation_split in the run file");
}

bool eval_rows_choose(EvalRows *rows, const Config *c, const Arguments *given, const EvalRun *run, Err *err)
{
    return choose(rows, c, given, err) && (rows->share <= 0 || check_keys(c, run, err));
}

/* ---- the rows of the data ------------------------------------------------------------------ */

static bool same_paths(const StringList *a, const StringList *b)
{
    bool same = a->count == b->count;
    for (int i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

/* Rows that are read as the run read them must be the run's, wherever they lie now; read otherwise (max_length, another
 * column), they must be as many of the same files. */
static bool are_the_runs(const EvalRows *rows, const Dataset *data, const Config *c, const Config *there,
                         const RunFacts *facts)
{
    Text ignored = { 0 };
    const bool alike = !data->images && config_same_run(c, there, COMPARE_READING, &ignored);
    text_release(&ignored);
    if (facts->known && rows->count / data->columns != facts->eval_examples)
        return false;
    return facts->known && alike ? data->digest == facts->data : same_paths(&c->data.train, &there->data.train);
}

static bool check_data(const EvalRows *rows, const Dataset *data, const Config *c, const EvalRun *run, Err *err)
{
    Config there = { 0 };
    RunFacts facts = { 0 };
    bool any;
    bool ok =
        open_run(&there, &any, run, err) && (!any || run->other_base || run_facts_read(&facts, run->adapter, err));
    if (ok && any && !are_the_runs(rows, data, c, &there, &facts))
        ok = refuse(run,
                    "these rows of data.train are not those that the adapter's run read: which of them it held "
                    "back is not known",
                    "", err);
    config_release(&there);
    return ok;
}

static void tell(const EvalRows *rows, int64_t columns)
{
    const StringList *files = rows->files;
    Text line = { 0 };
    if (rows->share > 0)
        text_addf(&line, "held-back %g%% of %s: %lld of %lld rows, seed %llu", 100 * rows->share, rows->key,
                  (long long)(rows->count / columns), (long long)(rows->all / columns), (unsigned long long)rows->seed);
    else
        text_addf(&line, "%s: %lld rows", rows->key, (long long)(rows->count / columns));
    text_addf(&line, " (%s", files->items[0]);
    if (files->count > 1)
        text_addf(&line, " and %d more", files->count - 1);
    log_plain("%s)", line.data);
    text_release(&line);
}

bool eval_rows_take(EvalRows *rows, const Dataset *data, const Pictures *pictures, const Config *c, const EvalRun *run,
                    Err *err)
{
    rows->row = rows_usable(data, pictures, &rows->all);
    const int64_t trained = rows->share > 0 ? rows_split(rows->row, rows->all, data, rows->share, rows->seed) : 0;
    rows->count = rows->all - trained;
    memmove(rows->row, rows->row + trained, (size_t)rows->count * sizeof *rows->row);
    if (rows->share > 0 && !check_data(rows, data, c, run, err))
        return false;
    tell(rows, data->columns);
    return true;
}

void eval_rows_release(EvalRows *rows)
{
    free(rows->row);
    *rows = (EvalRows){ 0 };
}
