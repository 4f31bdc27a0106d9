#include "launch/cmd_eval.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/options.h"
#include "common/metrics/metrics.h"
#include "launch/session.h"
#include "worker/train/plan.h"

#include <stdlib.h>

typedef struct EvalArguments {
    const char *adapter;
    bool help;
    Arguments rest;
} EvalArguments;

/* The files to measure on: data.test, else data.validation. */
static const StringList *eval_files(const Config *c, Err *err)
{
    if (c->data.test.count > 0)
        return &c->data.test;
    if (c->data.validation.count > 0)
        return &c->data.validation;
    err_set(err, ERR_INPUT, "there is nothing to evaluate on");
    err_hint(err, "give --data.test=FILE, or data.validation in the run file");
    return NULL;
}

static bool measure(Session *session, const Dataset *data, Metrics *metrics, Err *err)
{
    int64_t *ends;
    uint32_t *rows = xmalloc((size_t)data->count * sizeof *rows);
    for (int64_t i = 0; i < data->count; i++)
        rows[i] = (uint32_t)i;
    const int64_t chunks = plan_chunks(data->start, NULL, data->count, session->most_tokens, &ends);
    for (int64_t i = 0, begin = 0; i < chunks; begin = ends[i++]) {
        const Batch batch = batch_fill(&session->room, data, rows + begin, ends[i] - begin);
        const BatchLoss loss = session_predict(session, &batch);
        metrics_add(metrics, session->logits, batch.goal, batch.B, loss.sum);
    }
    free(ends);
    free(rows);
    if (metrics->sums[1] - metrics->sums[1] != 0.0)
        return err_set(err, ERR_TRAINING, "the loss is not finite");
    return true;
}

static void print_figures(const Metrics *metrics)
{
    Figure figures[METRICS_FIGURES];
    const int n = metrics_figures(metrics, figures);
    json_t *out = json_object();
    for (int i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "eval_%s", figures[i].name);
        json_object_set_new(out, name, json_real(figures[i].value));
    }
    json_object_set_new(out, "eval_samples", json_integer((json_int_t)metrics->sums[0]));
    char *text = json_dumps(out, JSON_INDENT(2));
    puts(text);
    free(text);
    json_decref(out);
}

static bool evaluate(const Config *c, const char *adapter, Err *err)
{
    const StringList *files = eval_files(c, err);
    if (!files)
        return false;
    const SessionOptions o = {
        .model = c->model, .adapter = adapter, .model_config = c->model_config, .labels = &c->labels,
        .label_count = c->label_count, .problem = c->problem_type, .lora = &c->lora,
        .max_length = c->data.max_length, .most_tokens = c->parallel.micro_batch_tokens,
        .threads = (int)(c->parallel.threads > 0 ? c->parallel.threads : 0),
    };
    const DataConfig *d = &c->data;
    const DatasetOptions data = { files, d->text, d->text_pair, d->label, d->max_length, d->limit, d->skip_bad_rows, true };
    Session session;
    Dataset set = { 0 };
    Metrics metrics = { 0 };
    const bool open = session_open(&session, &o, err) &&
                      dataset_open(&set, &data, session.arch, session.tokenizer, err);
    if (open)
        metrics_init(&metrics, &(MetricsSpec){ session.arch->task, session.arch->problem, session.arch->labels,
                                               (const char *const *)session.arch->label_names });
    const bool ok = open && measure(&session, &set, &metrics, err);
    if (ok)
        print_figures(&metrics);
    metrics_release(&metrics);
    dataset_release(&set);
    session_close(&session);
    return ok;
}

static bool run(const EvalArguments *given, const OptionTable *table, Err *err)
{
    if (!arguments_expect(&given->rest, table, 1, 1, err))
        return false;
    const ConfigSources sources = { .file = given->rest.positionals[0], .overrides = given->rest.overrides,
                                    .override_count = given->rest.override_count };
    Config config = { 0 };
    const bool ok = config_load(&config, &sources, err) && evaluate(&config, given->adapter, err);
    config_release(&config);
    return ok;
}

int cmd_eval(int argc, char **argv)
{
    EvalArguments given = { 0 };
    const Option own[] = {
        { "adapter", "DIR", "the adapter to measure; without it: the base model", &given.adapter, NULL },
        { "help", NULL, "this text", NULL, &given.help },
    };
    const OptionTable table = { "lora eval", "RUN.yaml", "metrics on data.test, else data.validation, as JSON", own,
                                sizeof own / sizeof *own, true };
    Err err = { 0 };
    bool ok = options_read(&given.rest, &table, argc, argv, &err);
    if (given.help) {
        Text help = { 0 };
        options_help(&table, &help);
        fputs(help.data, stdout);
        text_release(&help);
        ok = true;
    } else {
        ok = ok && run(&given, &table, &err);
    }
    if (!ok)
        err_print(&err, stderr);
    arguments_release(&given.rest);
    return ok ? 0 : err_exit_code(&err);
}
