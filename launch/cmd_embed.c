#include "launch/cmd_embed.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "common/metrics/embed_loss.h"
#include "common/model/sentence.h"
#include "launch/adapter_run.h"
#include "launch/command.h"
#include "launch/npy.h"
#include "launch/predict.h"

#include <stdlib.h>
#include <string.h>

typedef struct EmbedArguments {
    const char *adapter, *model, *column, *prompt, *out, *length; /* as given; NULL: not */
    bool other_base;
    int64_t max_length; /* 0: not given */
} EmbedArguments;

/* Where embeddings go: lines on standard output, or a file. */
typedef struct EmbedOut {
    int64_t C;
    bool normalize;
    float *e; /* [C], owned */
    Text line;
    FILE *lines; /* NULL: npy */
    Npy npy;
} EmbedOut;

static bool write_line(EmbedOut *out, Err *err)
{
    text_clear(&out->line);
    text_adds(&out->line, "{\"embedding\": [");
    for (int64_t c = 0; c < out->C; c++) /* as many digits as read back to the same float */
        text_addf(&out->line, "%s%.9g", c > 0 ? ", " : "", (double)out->e[c]);
    text_adds(&out->line, "]}\n");
    return fwrite(out->line.data, 1, out->line.size, out->lines) == out->line.size || err_errno(err, "cannot write");
}

static bool give(void *self, const float *logits, Err *err)
{
    EmbedOut *out = self;
    memcpy(out->e, logits, (size_t)out->C * sizeof *out->e);
    if (out->normalize)
        embed_normalize(out->e, 1, out->C);
    return out->lines ? write_line(out, err) : npy_add(&out->npy, out->e, err);
}

/* path NULL: standard output. */
static bool out_open(EmbedOut *out, const char *path, const ModelArch *arch, Err *err)
{
    *out = (EmbedOut){ .C = arch->C, .normalize = arch->head.embed.how.normalize == NORMALIZE_YES };
    out->e = xcalloc((size_t)arch->C, sizeof *out->e);
    if (!path) {
        out->lines = stdout;
        return true;
    }
    if (text_ends(path, ".npy"))
        return npy_begin(&out->npy, path, arch->C, err);
    return (out->lines = file_begin(path, err)) != NULL;
}

/* A file is there when it is whole. */
static bool out_close(EmbedOut *out, const char *path, bool ok, Err *err)
{
    if (out->lines == stdout)
        ok = ok && (fflush(stdout) == 0 || err_errno(err, "cannot write to standard output"));
    else if (out->lines && ok)
        ok = file_commit(out->lines, path, err);
    else if (out->lines)
        file_abandon(out->lines, path);
    else if (out->npy.file && ok)
        ok = npy_commit(&out->npy, err);
    else if (out->npy.file)
        npy_abandon(&out->npy);
    free(out->e);
    text_release(&out->line);
    return ok;
}

/* Tokens of a text: as it is said, else as the model's own folder says, else as the run did. */
static bool choose_length(int64_t *length, const EmbedArguments *given, const Config *c, Err *err)
{
    SentenceFolder folder = { 0 };
    char *model = NULL;
    *length = given->max_length;
    if (*length > 0 || given->adapter) {
        *length = *length > 0 ? *length : c->data.max_length;
        return true;
    }
    const bool ok = (model = model_find(given->model, err)) && sentence_read(&folder, model, err);
    *length = folder.max_length > 0 ? folder.max_length : c->data.max_length;
    free(model);
    return ok;
}

static bool embed(const EmbedArguments *given, const Config *c, const char *path, Err *err)
{
    SessionOptions o = {
        .model = given->model,
        .adapter = given->adapter,
        .other_base = given->other_base,
        .task = c->task,
        .model_config = c->model_config,
        .labels = &c->labels,
        .embed = adapted_embed(c),
        .most_tokens = 4096,
        .arithmetic = c->parallel.arithmetic,
        .precision = c->train.precision,
        .threads = (int)(c->parallel.threads > 0 ? c->parallel.threads : 0),
    };
    PredictInput input = { .path = path && strcmp(path, "-") != 0 ? path : NULL, .run = c, .prompt = given->prompt };
    input.name = input.path ? input.path : "standard input";
    const char *column = given->column               ? given->column
                         : c->data.columns.count > 0 ? c->data.columns.items[0]
                                                     : c->data.text;
    Source packed = { 0 };
    Session session = { 0 };
    EmbedOut out = { 0 };
    bool ok = choose_length(&o.max_length, given, c, err) && predict_open(&input, &packed, err) &&
              session_open(&session, &o, err) && out_open(&out, given->out, session.base.adapted.arch, err) &&
              predict_each(&session, &input, column, give, &out, err);
    ok = out_close(&out, given->out, ok, err);
    session_close(&session);
    predict_close(&input, &packed);
    return ok;
}

/* The run of the adapter; or of a model by itself nothing but the task. */
static bool load(Config *c, const EmbedArguments *given, const Arguments *words, Err *err)
{
    if (given->adapter)
        return adapter_run_check(given->adapter, err) && adapter_run_load(c, given->adapter, words, err);
    const char **keys = xcalloc((size_t)words->override_count + 2, sizeof *keys);
    keys[0] = "task_type=FEATURE_EXTRACTION";
    keys[1] = "model=none";
    for (int i = 0; i < words->override_count; i++)
        keys[i + 2] = words->overrides[i];
    const ConfigSources sources = { .overrides = keys, .override_count = words->override_count + 2 };
    const bool ok = config_load(c, &sources, err);
    free(keys);
    return ok;
}

static bool check_task(const Config *c, Err *err)
{
    if (task_get(c->task)->embeds)
        return true;
    err_set(err, ERR_INPUT, "the adapter is of the task %s, which makes no embeddings", config_task_name(c->task));
    return err_hint(err, "lora predict --adapter=DIR FILE answers");
}

static bool run(void *self, const Arguments *words, Err *err)
{
    EmbedArguments *given = self;
    if (given->length && !option_int("max_length", given->length, 1, INT32_MAX, &given->max_length, err))
        return false;
    if (!given->adapter && !given->model) {
        err_set(err, ERR_INPUT, "no --adapter and no --model");
        return err_hint(err, "lora embed --adapter=DIR FILE, or --model=DIR for a model by itself");
    }
    Config config = { 0 };
    const char *path = words->positional_count > 0 ? words->positionals[0] : NULL;
    const bool ok = load(&config, given, words, err) && check_task(&config, err) && embed(given, &config, path, err);
    config_release(&config);
    return ok;
}

int cmd_embed(int argc, char **argv)
{
    EmbedArguments given = { 0 };
    bool help = false;
    const Option own[] = {
        { "adapter", "DIR", "the adapter, as lora train or PEFT wrote it", &given.adapter, NULL },
        { "model", "DIR", "its base model; without an adapter: the model that embeds", &given.model, NULL },
        { "column", "NAME", "of a .jsonl, .json, .csv or .tsv file; default: the first of data.columns, or data.text",
          &given.column, NULL },
        { "prompt", "TEXT", "stands before every text, as in 'query: '", &given.prompt, NULL },
        { "output", "FILE", "a .npy file of float32 [texts, width], or lines; default: standard output", &given.out,
          NULL },
        { "max_length", "N", "at most N tokens a text; default: the run's, or the model folder's", &given.length,
          NULL },
        { "other_base", NULL, "take the base though the adapter was trained on another", NULL, &given.other_base },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = {
        "lora embed",
        "[FILE]",
        "the embedding of each row of a .csv, .tsv, .jsonl or .json file, or of each line of any "
        "other text: {\"embedding\": [...]} a line, or one NumPy file",
        own,
        sizeof own / sizeof *own,
        true,
        0
    };
    return command_main(&(Command){ &table, &help, 0, 1, run, &given }, argc, argv);
}
