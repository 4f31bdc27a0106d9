#include "launch/cmd_eval.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "launch/command.h"
#include "launch/session.h"
#include "worker/eval/engine.h"
#include "worker/eval/measure.h"
#include "worker/train/plan.h"
#include "worker/train/settings.h"

#include <stdlib.h>

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

/* `pictures` of a data set of images, else empty; texts NULL: nothing is generated. */
static bool measure(Session *session, const Dataset *data, Pictures *pictures, const MeasureTexts *texts, Metrics *metrics,
                    Err *err)
{
    const int64_t count = data->images ? pictures->good_count : data->count;
    int64_t *ends;
    uint32_t *rows = xmalloc((size_t)count * sizeof *rows);
    for (int64_t i = 0; i < count; i++)
        rows[i] = data->images ? pictures->good[i] : (uint32_t)i;
    const int64_t chunks = plan_chunks(data->start, rows, count, session->most_tokens, &ends);
    bool ok = true;
    for (int64_t i = 0, begin = 0; ok && i < chunks; begin = ends[i++]) {
        Batch batch = batch_fill(&session->room, data, rows + begin, ends[i] - begin);
        ok = batch.ids || pictures_fill(pictures, &session->room, &batch, 0, err);
        if (ok)
            measure_batch(metrics, session->model, &batch, session->values, session->logits);
        ok = ok && (!texts || measure_texts(metrics, texts, &batch, err));
    }
    free(ends);
    free(rows);
    if (ok && metrics->sums[1] - metrics->sums[1] != 0.0)
        return err_set(err, ERR_TRAINING, "the loss is not finite");
    return ok;
}

static bool measure_all(Session *s, const Dataset *data, Pictures *pictures, const Config *c, Metrics *metrics, Err *err)
{
    if (!c->data.generate)
        return measure(s, data, pictures, NULL, metrics, err);
    GenerateOptions options;
    TextEngine own = { 0 };
    References references = { 0 };
    bool ok = generate_options(&options, &c->data, c->train.seed, s->arch->folder, s->max_length, s->tokenizer, err) &&
              session_writes(s, &own, 1, err) && references_open(&references, data, NULL, data->count, err);
    if (ok) {
        const GenerateEngine engine = text_engine(&own);
        const MeasureTexts texts = { &options, &engine, s->tokenizer, &references };
        ok = measure(s, data, pictures, &texts, metrics, err);
    }
    text_engine_close(&own);
    references_release(&references);
    return ok;
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
    const DatasetOptions data = settings_data(c, files);
    const SessionOptions o = {
        .model = c->model, .adapter = adapter, .task = c->task, .model_config = c->model_config,
        .labels = &c->labels, .label_count = c->label_count, .problem = c->problem_type,
        .max_length = (data.kind == ROWS_BLOCKS ? data.block_size : data.max_length) +
                      (c->data.generate ? c->data.max_new_tokens : 0),
        .most_tokens = c->parallel.micro_batch_tokens,
        .arithmetic = c->parallel.arithmetic,
        .threads = (int)(c->parallel.threads > 0 ? c->parallel.threads : 0),
    };
    Session session;
    Dataset set = { 0 };
    Pictures pictures = { 0 };
    const PicturesOptions images = { .files = files, .skip_bad_rows = c->data.skip_bad_rows };
    Metrics metrics = { 0 };
    const bool open = session_open(&session, &o, err) &&
                      dataset_open(&set, &data, session.arch, session.tokenizer, err) &&
                      (!set.images || pictures_open(&pictures, &set, session.arch, &images, err));
    if (open) {
        const MetricsSpec spec = measure_spec(session.arch);
        metrics_init(&metrics, &spec);
    }
    if (open && set.shared > 0)
        log_warn("data", "rows=%lld prompt and completion share a token, which is not counted", (long long)set.shared);
    const char *odd = open ? measure_odd_tag(session.arch) : NULL;
    if (odd)
        log_warn("eval", "f1, precision and recall are of entities, as seqeval counts them; not an entity's tag: '%s'", odd);
    const bool ok = open && measure_all(&session, &set, &pictures, c, &metrics, err);
    if (ok)
        print_figures(&metrics);
    metrics_release(&metrics);
    pictures_close(&pictures);
    dataset_release(&set);
    session_close(&session);
    return ok;
}

static bool run(void *self, const Arguments *given, Err *err)
{
    const char *const *adapter = self;
    const ConfigSources sources = { .file = given->positionals[0], .overrides = given->overrides,
                                    .override_count = given->override_count };
    Config config = { 0 };
    const bool ok = config_load(&config, &sources, err) && evaluate(&config, *adapter, err);
    config_release(&config);
    return ok;
}

int cmd_eval(int argc, char **argv)
{
    const char *adapter = NULL;
    bool help = false;
    const Option own[] = {
        { "adapter", "DIR", "the adapter to measure; without it: the base model", &adapter, NULL },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora eval", "RUN.yaml", "metrics on data.test, else data.validation, as JSON", own,
                                sizeof own / sizeof *own, true };
    return command_main(&(Command){ &table, &help, 1, 1, run, &adapter }, argc, argv);
}
