#include "launch/cmd_eval.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "common/plan/plan.h"
#include "launch/adapter_run.h"
#include "launch/command.h"
#include "launch/eval_rows.h"
#include "launch/named_adapter.h"
#include "launch/row_names.h"
#include "launch/session.h"
#include "worker/eval/engine.h"
#include "worker/eval/measure.h"
#include "worker/train/class_balance.h"
#include "worker/train/fit.h"
#include "worker/train/settings.h"

#include <stdlib.h>
#include <string.h>

typedef struct EvalArguments {
    const char *adapters[OPTION_MOST + 1]; /* as they were given, NULL behind the last */
    bool other_base, by_row;
    const Groups *groups; /* of a job whose ranks hold a stage each; NULL: one process */
    const Arguments *words; /* lent */
    const char *whom; /* only rows that name this one; NULL: all */
} EvalArguments;

typedef struct MeasuredSet {
    Dataset data;
    Pictures pictures; /* of a data set of images, else empty */
    EvalRows rows;
    MeasureAnswers answers; /* of questions, else empty */
} MeasuredSet;

static bool open_set(MeasuredSet *set, const Config *c, const DatasetOptions *options, const Session *s,
                     const EvalRun *run, Err *err)
{
    const PicturesOptions images = { .files = options->files, .skip_bad_rows = c->data.skip_bad_rows };
    if (!dataset_open(&set->data, options, s->base.adapted.arch, s->base.tokenizer, err) ||
        (set->data.images && !pictures_open(&set->pictures, &set->data, s->base.adapted.arch, &images, err)))
        return false;
    if (!eval_rows_take(&set->rows, &set->data, &set->pictures, c, run, err))
        return false;
    const SpansOptions spans = settings_spans(c);
    measure_answers_open(&set->answers, &set->data, &spans);
    if (set->data.shared > 0)
        log_warn("data", "rows=%lld prompt and completion share a token, which is not counted",
                 (long long)set->data.shared);
    const char *odd = measure_odd_tag(s->base.adapted.arch);
    if (odd)
        log_warn("eval", "f1, precision and recall are of entities, as seqeval counts them; not an entity's tag: '%s'",
                 odd);
    return true;
}

static void release_set(MeasuredSet *set)
{
    measure_answers_release(&set->answers);
    pictures_close(&set->pictures);
    dataset_release(&set->data);
    eval_rows_release(&set->rows);
}

static bool measure(Session *session, MeasuredSet *set, const SessionMeasure *how, Err *err)
{
    Metrics *metrics = how->metrics;
    const uint32_t *rows = set->rows.row;
    int64_t *ends;
    const int64_t chunks =
        plan_chunks(set->data.start, rows, set->rows.count, set->data.columns, session->most_tokens, &ends);
    bool ok = true;
    for (int64_t i = 0, begin = 0; ok && i < chunks; begin = ends[i++]) {
        Batch batch = batch_fill(&session->room, &set->data, rows + begin, ends[i] - begin, 0);
        ok = (batch.ids || pictures_fill(&set->pictures, &session->room, &batch, 0, err)) &&
             session_measure(session, how, &batch, err);
    }
    free(ends);
    ok = ok && session_settle(session, metrics, err);
    if (ok && metrics->sums[1] - metrics->sums[1] != 0.0)
        return err_set(err, ERR_TRAINING, "the loss is not finite");
    return ok;
}

enum { EVAL_TEXTS = 8 }; /* written at a time */

static bool measure_all(Session *s, MeasuredSet *set, const Config *c, Metrics *metrics, Err *err)
{
    SessionMeasure how = { .metrics = metrics, .answers = &set->answers };
    if (!c->data.generate)
        return measure(s, set, &how, err);
    GenerateOptions options;
    TextEngine own = { 0 };
    References references = { 0 };
    bool ok = generate_options(&options, &c->data, c->train.seed, s->base.adapted.arch, s->max_length,
                               s->base.tokenizer, err) &&
              session_writes(s, &own, EVAL_TEXTS, err) &&
              references_open(&references, &set->data, set->rows.row, set->rows.count, err);
    ok = session_agree(s, ok);
    if (ok) {
        const GenerateEngine engine = text_engine(&own);
        const MeasureTexts texts = { &options, &engine, s->base.tokenizer, &references };
        how.texts = &texts;
        how.engine = &own;
        ok = measure(s, set, &how, err);
    }
    text_engine_close(&own);
    references_release(&references);
    return ok;
}

/* New. */
static json_t *figures_of(const Metrics *metrics, const Session *s)
{
    Figure figures[METRICS_FIGURES];
    const int n = metrics_figures(metrics, figures);
    const double plain = figures[0].value, penalty = s->penalty;
    json_t *out = json_object();
    figures[0].value += penalty; /* as in a run's evaluations */
    for (int i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "eval_%s", figures[i].name);
        json_object_set_new(out, name, json_real(figures[i].value));
    }
    for (int t = 0; t < metrics->spec.task_count; t++) {
        const int count = metrics_task_figures(metrics, t, figures);
        for (int i = 0; i < count; i++) {
            char *name = xprintf("eval_%s_%s", metrics->spec.tasks[t].name, figures[i].name);
            json_object_set_new(out, name, json_real(figures[i].value));
            free(name);
        }
    }
    if (penalty > 0)
        json_object_set_new(out, "eval_loss_plain", json_real(plain));
    json_object_set_new(out, "eval_samples", json_integer((json_int_t)metrics->sums[0]));
    return out;
}

/* Texts that are compared go through the model together. */
static int64_t most_tokens(const Config *c)
{
    const int64_t row = task_get(c->task)->embeds ? c->data.columns.count * c->data.max_length : 0;
    const int64_t piece = config_piece_tokens(c);
    return row > piece ? row : piece;
}

/* *figures is new. */
static bool evaluate(json_t **figures, const Config *c, const EvalRun *run, const EvalArguments *given, Err *err)
{
    MeasuredSet set = { 0 };
    if (!eval_rows_choose(&set.rows, c, given->words, run, err))
        return false;
    DatasetOptions data = settings_data(c, set.rows.files);
    data.by = given->whom ? ADAPTER_FIELD : NULL;
    data.by_whom = given->whom;
    const SessionOptions o = {
        .model = c->model,
        .adapter = run->adapter,
        .other_base = run->other_base,
        .task = c->task,
        .model_config = c->model_config,
        .labels = &c->labels,
        .label_count = c->label_count,
        .problem = c->problem_type,
        .max_length = (data.kind == ROWS_BLOCKS ? data.block_size : data.max_length) +
                      (data.kind == ROWS_SOURCES ? data.max_target_length : 0) +
                      (c->data.generate ? c->data.max_new_tokens : 0),
        .most_tokens = most_tokens(c),
        .embed = adapted_embed(c),
        .loss = settings_loss(c),
        .class_weights = c->train.class_weights,
        .tasks = &c->tasks,
        .arithmetic = c->parallel.arithmetic,
        .precision = c->train.precision,
        .threads = (int)(c->parallel.threads > 0 ? c->parallel.threads : 0),
        .room = fit_room(c, 0),
        .groups = given->groups,
    };
    Session session = { 0 };
    Metrics metrics = { 0 };
    double *weights = NULL;
    bool ok = session_open(&session, &o, err) &&
              class_balance_alone(&weights, c, session.base.adapted.arch, session.base.tokenizer, err) &&
              open_set(&set, c, &data, &session, run, err);
    ok = command_agree(given->groups, ok);
    if (ok) {
        model_weigh_classes(session.model, weights);
        const MetricsSpec spec = measure_spec(session.base.adapted.arch);
        metrics_init(&metrics, &spec);
        ok = measure_all(&session, &set, c, &metrics, err);
    }
    if (ok)
        *figures = figures_of(&metrics, &session);
    metrics_release(&metrics);
    release_set(&set);
    session_close(&session);
    free(weights);
    return ok;
}

/* A folder stands for its run.yaml and, unless another is given, its adapter. Owned; NULL with *err set. */
static char *run_file(const char *given, const char **adapter, Err *err)
{
    if (!file_exists(given)) {
        file_missing(given, "file or folder", "give a run file, or the folder of a run (train.output_dir)", err);
        err_at(err, "%s", given);
        return NULL;
    }
    if (!file_is_folder(given))
        return xstrdup(given);
    char *file = run_folder_file(given);
    if (!*adapter)
        *adapter = given;
    if (file || !adapter_run_check(*adapter, err))
        return file;
    err_set(err, ERR_INPUT, "there is no run.yaml in this folder: lora train did not write it");
    err_hint(err, "lora eval RUN.yaml --adapter=%s", given);
    err_at(err, "%s", given);
    return NULL;
}

/* The configuration that an adapter, or the base alone, is measured by. */
static bool load(Config *config, EvalRun *of, const EvalArguments *own, Err *err)
{
    const Arguments *given = own->words;
    const char *chosen = of->adapter;
    char *file = run_file(given->positionals[0], own->whom ? &chosen : &of->adapter, err); /* NULL stays the base */
    const ConfigSources sources = { .file = file,
                                    .overrides = given->overrides,
                                    .override_count = given->override_count };
    const bool ok = file && (!of->adapter || adapter_run_check(of->adapter, err)) &&
                    config_load(config, &sources, err) && (!of->adapter || run_folder_labels(config, of->adapter, err));
    free(file);
    return ok;
}

/* *figures is new: of one adapter, or of the base alone. */
static bool measure_one(json_t **figures, EvalRun of, const EvalArguments *own, Err *err)
{
    Config config = { 0 };
    const bool ok = load(&config, &of, own, err) && evaluate(figures, &config, &of, own, err);
    config_release(&config);
    return ok;
}

/* NAME=DIR of several; behind the last the base by itself, where rows may name it. */
typedef struct EvalNames {
    char *names[OPTION_MOST + 1], *folders[OPTION_MOST + 1]; /* owned */
    int64_t rows[OPTION_MOST + 1]; /* that name each */
    int count;
} EvalNames;

static bool split_names(EvalNames *all, const EvalArguments *own, Err *err)
{
    for (int i = 0; own->adapters[i]; i++, all->count++) {
        if (!named_adapter_split(own->adapters[i], &all->names[i], &all->folders[i], err))
            return false;
        for (int k = 0; k < i; k++)
            if (strcmp(all->names[k], all->names[i]) == 0)
                return err_set(err, ERR_INPUT, "two adapters are called '%s'", all->names[i]);
    }
    if (own->by_row)
        all->names[all->count++] = xstrdup(ADAPTER_BASE);
    return true;
}

static void release_names(EvalNames *all)
{
    for (int i = 0; i <= OPTION_MOST; i++) {
        free(all->names[i]);
        free(all->folders[i]);
    }
}

/* Who is named by how many of the rows that are measured. */
static bool count_rows(EvalNames *all, const EvalArguments *own, Err *err)
{
    EvalRun first = { all->folders[0], own->other_base };
    Config config = { 0 };
    EvalRows rows = { 0 };
    bool ok = load(&config, &first, own, err) && eval_rows_choose(&rows, &config, own->words, &first, err);
    if (ok && rows.share > 0) {
        ok = err_set(err, ERR_INPUT, "--by_row takes all rows of files, not those that a run held back");
        err_hint(err, "--data.test=FILE");
    }
    if (ok) {
        const DatasetOptions data = settings_data(&config, rows.files);
        ok = row_names_count(all->rows, (const char *const *)all->names, all->count, &data, err);
    }
    config_release(&config);
    return ok;
}

/* Figures by name: of each on the same rows, or on those that name it. */
static bool measure_several(json_t *figures, const EvalArguments *own, Err *err)
{
    EvalNames all = { 0 };
    bool ok = split_names(&all, own, err) && (!own->by_row || count_rows(&all, own, err));
    for (int i = 0; ok && i < all.count; i++) {
        EvalArguments each = *own;
        json_t *one = NULL;
        each.whom = own->by_row ? all.names[i] : NULL;
        if (own->by_row && all.rows[i] == 0) {
            if (all.folders[i])
                json_object_set_new(figures, all.names[i], json_pack("{s:i}", "eval_samples", 0));
            continue;
        }
        ok = measure_one(&one, (EvalRun){ all.folders[i], own->other_base }, &each, err);
        if (ok)
            json_object_set_new(figures, all.names[i], one);
    }
    release_names(&all);
    return ok;
}

static bool run(void *self, const Arguments *given, Err *err)
{
    EvalArguments *own = self;
    own->words = given;
    const char *first = own->adapters[0];
    const bool several = first && strchr(first, '=') && (own->adapters[1] || !file_exists(first));
    if (!several && first && own->adapters[1]) {
        err_set(err, ERR_INPUT, "several adapters need a name each");
        return err_hint(err, "--adapter=NAME=DIR --adapter=OTHER=DIR");
    }
    if (own->by_row && !several) {
        err_set(err, ERR_INPUT, "--by_row is for several adapters, each by its name");
        return err_hint(err,
                        "--adapter=NAME=DIR --adapter=OTHER=DIR; each row says which in its field '" ADAPTER_FIELD "'");
    }
    json_t *figures = several ? json_object() : NULL;
    const bool ok = several ? measure_several(figures, own, err)
                            : measure_one(&figures, (EvalRun){ first, own->other_base }, own, err);
    if (ok) {
        char *text = json_dumps(figures, JSON_INDENT(2));
        puts(text);
        free(text);
    }
    json_decref(figures);
    return ok;
}

int cmd_eval(int argc, char **argv)
{
    return cmd_eval_stages(argc, argv, NULL);
}

int cmd_eval_stages(int argc, char **argv, const Groups *groups)
{
    EvalArguments given = { .groups = groups };
    bool help = false;
    const Option own[] = {
        { "adapter", "DIR...",
          "the adapter, or the model that was trained whole, to measure; without it: the base model; NAME=DIR, repeated: "
          "several on the same rows, figures by name",
          given.adapters, NULL },
        { "by_row", NULL,
          "of several adapters each row is measured with the one that its field 'adapter' names (" ADAPTER_BASE
          ": the base by itself)",
          NULL, &given.by_row },
        { "other_base", NULL, "take the base though the adapter was trained on another", NULL, &given.other_base },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = {
        groups ? "lora_worker --evaluate" : "lora eval",
        "RUN.yaml|FOLDER",
        "metrics as JSON: on data.test, else data.validation, else the rows that data.validation_split "
        "held back; FOLDER: of a run, whose run.yaml and adapter are taken",
        own,
        sizeof own / sizeof *own,
        true,
        0
    };
    return command_together(&(Command){ &table, &help, 1, 1, run, &given }, groups, argc, argv);
}
