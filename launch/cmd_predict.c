#include "launch/cmd_predict.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/options.h"
#include "launch/session.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_LINES = 64 }; /* answered together, in order */

typedef struct PredictArguments {
    const char *adapter, *model, *length;
    bool logits, help;
    int64_t max_length;
    Arguments rest;
} PredictArguments;

/* Lines that wait for the model, laid end to end. */
typedef struct Pending {
    int64_t count, tokens;
    int64_t start[BATCH_LINES + 1], example[BATCH_LINES];
    Encoding encoding;
} Pending;

/* ---- what an adapter's run said: labels and problem ---------------------------------- */

/* run.yaml beside the adapter (or above a checkpoint); false: there is none. */
static bool find_run(Config *config, const char *adapter, Err *err)
{
    char *beside = path_join(adapter, "run.yaml"), *above = path_join(adapter, "../run.yaml");
    const char *file = file_exists(beside) ? beside : file_exists(above) ? above : NULL;
    const ConfigSources sources = { .file = file };
    const bool ok = file && config_load(config, &sources, err);
    free(beside);
    free(above);
    return ok;
}

/* ---- answers ---------------------------------------------------------------------------- */

static void softmax(double *p, const float *logits, int64_t n)
{
    double most = (double)logits[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        most = (double)logits[i] > most ? (double)logits[i] : most;
    for (int64_t i = 0; i < n; i++)
        sum += p[i] = exp((double)logits[i] - most);
    for (int64_t i = 0; i < n; i++)
        p[i] /= sum;
}

static json_t *answer(const ModelArch *arch, const float *logits)
{
    json_t *out = json_object(), *named = json_object();
    double *p = xmalloc((size_t)arch->labels * sizeof *p);
    if (arch->problem == PROBLEM_REGRESSION) {
        json_object_set_new(out, "score", json_real((double)logits[0]));
    } else if (arch->problem == PROBLEM_MULTI_LABEL) {
        json_t *on = json_array();
        for (int64_t i = 0; i < arch->labels; i++) {
            json_object_set_new(named, arch->label_names[i], json_real(1.0 / (1.0 + exp(-(double)logits[i]))));
            if (logits[i] > 0.0f)
                json_array_append_new(on, json_string(arch->label_names[i]));
        }
        json_object_set_new(out, "labels", on);
        json_object_set(out, "probabilities", named);
    } else {
        int64_t best = 0;
        softmax(p, logits, arch->labels);
        for (int64_t i = 0; i < arch->labels; i++) {
            json_object_set_new(named, arch->label_names[i], json_real(p[i]));
            best = logits[i] > logits[best] ? i : best;
        }
        json_object_set_new(out, "label", json_string(arch->label_names[best]));
        json_object_set(out, "probabilities", named);
    }
    json_decref(named);
    free(p);
    return out;
}

static bool print_answers(Session *s, Pending *p, bool with_logits, Err *err)
{
    const Batch batch = { .B = p->count, .N = p->tokens, .start = p->start, .ids = s->room.ids,
                          .types = s->arch->types > 0 ? s->room.types : NULL, .example = p->example };
    if (p->count > 0)
        session_predict(s, &batch);
    bool ok = true;
    for (int64_t b = 0; b < p->count; b++) {
        const float *logits = s->logits + b * s->arch->labels;
        json_t *line = answer(s->arch, logits);
        if (with_logits) {
            json_t *list = json_array();
            for (int64_t i = 0; i < s->arch->labels; i++)
                json_array_append_new(list, json_real((double)logits[i]));
            json_object_set_new(line, "logits", list);
        }
        char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
        if (text && puts(text) < 0)
            ok = err_errno(err, "cannot write");
        free(text);
        json_decref(line);
    }
    p->count = p->tokens = 0;
    return ok && (fflush(stdout) == 0 || err_errno(err, "cannot write"));
}

static bool add_line(Session *s, Pending *p, const char *line, size_t n, bool logits, Err *err)
{
    if (text_utf8_valid(line, n) < n)
        return err_set(err, ERR_INPUT, "the line is not valid UTF-8");
    const char *tab = memchr(line, '\t', n);
    const size_t first = tab ? (size_t)(tab - line) : n;
    if (!tokenizer_encode(s->tokenizer, line, first, tab ? tab + 1 : NULL, tab ? n - first - 1 : 0, s->max_length,
                          &p->encoding, err))
        return false;
    const Encoding *e = &p->encoding;
    if ((p->count == BATCH_LINES || p->tokens + e->count > s->most_tokens) && !print_answers(s, p, logits, err))
        return false;
    for (int64_t i = 0; i < e->count; i++)
        if (e->ids[i] >= s->arch->V)
            return err_set(err, ERR_INPUT, "the tokenizer gives id %d, the model has %lld words", e->ids[i],
                           (long long)s->arch->V);
    memcpy(s->room.ids + p->tokens, e->ids, (size_t)e->count * sizeof *e->ids);
    memcpy(s->room.types + p->tokens, e->types, (size_t)e->count * sizeof *e->types);
    p->start[p->count] = p->tokens;
    p->example[p->count] = p->count;
    p->tokens += e->count;
    p->start[++p->count] = p->tokens;
    return true;
}

/* A person at a pipe wants each answer at once; a file is answered in batches. */
static bool predict_stream(Session *s, FILE *in, const char *name, bool logits, Err *err)
{
    Pending *p = xcalloc(1, sizeof *p);
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int64_t number = 0;
    bool ok = true;
    const bool at_once = in == stdin;
    while (ok && (n = getline(&line, &room, in)) >= 0) {
        number++;
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        ok = add_line(s, p, line, (size_t)n, logits, err);
        if (!ok)
            err_at(err, "%s:%lld", name, (long long)number);
        else if (at_once)
            ok = print_answers(s, p, logits, err);
    }
    ok = ok && print_answers(s, p, logits, err);
    encoding_release(&p->encoding);
    free(line);
    free(p);
    return ok;
}

static bool predict(const PredictArguments *given, const Config *run_file, Err *err)
{
    const StringList none = { 0 };
    const SessionOptions o = {
        .model = given->model, .adapter = given->adapter,
        .model_config = run_file ? run_file->model_config : NULL,
        .labels = run_file ? &run_file->labels : &none,
        .problem = run_file ? run_file->problem_type : PROBLEM_AUTO,
        .max_length = given->max_length > 0 ? given->max_length : run_file ? run_file->data.max_length : 512,
        .most_tokens = 4096,
    };
    const char *name = given->rest.positional_count > 0 ? given->rest.positionals[0] : "-";
    FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    if (!in) {
        err_errno(err, "cannot open");
        err->kind = ERR_INPUT;
        return err_at(err, "%s", name);
    }
    Session session;
    const bool ok = session_open(&session, &o, err) &&
                    predict_stream(&session, in, in == stdin ? "standard input" : name, given->logits, err);
    session_close(&session);
    if (in != stdin)
        fclose(in);
    return ok;
}

static bool run(PredictArguments *given, const OptionTable *table, Err *err)
{
    if (!arguments_expect(&given->rest, table, 0, 1, err) ||
        (given->length && !option_int("max_length", given->length, 1, INT32_MAX, &given->max_length, err)))
        return false;
    if (!given->adapter) {
        err_set(err, ERR_INPUT, "no --adapter");
        return err_hint(err, "lora predict --adapter=DIR [--model=DIR] [FILE]");
    }
    Config config = { 0 };
    const bool known = find_run(&config, given->adapter, err);
    const bool ok = err->kind == ERR_NONE && predict(given, known ? &config : NULL, err);
    config_release(&config);
    return ok;
}

int cmd_predict(int argc, char **argv)
{
    PredictArguments given = { 0 };
    const Option own[] = {
        { "adapter", "DIR", "the adapter, as lora train or PEFT wrote it", &given.adapter, NULL },
        { "model", "DIR", "its base model; default: the one the adapter names", &given.model, NULL },
        { "max_length", "N", "at most N tokens a line", &given.length, NULL },
        { "logits", NULL, "print the logits too", NULL, &given.logits },
        { "help", NULL, "this text", NULL, &given.help },
    };
    const OptionTable table = { "lora predict", "[FILE]",
                                "one JSON line an input line (a TAB separates a text pair)", own,
                                sizeof own / sizeof *own, false };
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
