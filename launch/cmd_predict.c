#include "launch/cmd_predict.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "launch/adapter_run.h"
#include "launch/command.h"
#include "launch/predict.h"
#include "worker/data/source.h"

#include <stdlib.h>
#include <string.h>

typedef struct PredictArguments {
    const char *adapter, *model, *length;
    bool logits, other_base;
    int64_t max_length;
    const Arguments *rest; /* lent */
} PredictArguments;

/* ---- answers ---------------------------------------------------------------------------- */

static bool answer(Session *session, const PredictInput *input, Err *err)
{
    static bool (*const answers[])(Session *, const PredictInput *, Err *) = { [TASK_SEQ_CLS] = predict_texts,
                                                                               [TASK_TOKEN_CLS] = predict_words,
                                                                               [TASK_CAUSAL_LM] = predict_prompts,
                                                                               [TASK_IMAGE_CLS] = predict_images };
    return answers[session->base.adapted.arch->head.task->type](session, input, err);
}

/* packed: what input->file reads where the input is a .gz or .zst file. */
static bool open_input(PredictInput *input, Source *packed, Err *err)
{
    const char *path = input->path;
    if (path && (text_ends_any(path, ".parquet") || text_ends_any(path, ".arrow")))
        return records_format(path, ROWS_LABELLED, err) != NULL; /* says what to do */
    if (path && file_is_folder(path))
        return true;
    if (path && (text_ends_any(path, ".gz") || text_ends_any(path, ".zst"))) {
        if (!source_open(packed, path, err))
            return false;
        input->file =
            packed->size > 0 ? fmemopen((void *)(uintptr_t)packed->data, packed->size, "r") : fopen("/dev/null", "r");
    } else {
        input->file = path ? fopen(path, "re") : stdin;
    }
    if (input->file)
        return true;
    if (file_exists(path)) {
        err_errno(err, "cannot open");
        err->kind = ERR_INPUT;
    } else {
        file_missing(path, "file or folder", NULL, err);
    }
    return err_at(err, "%s", path);
}

static void close_input(PredictInput *input, Source *packed)
{
    if (input->file && input->file != stdin)
        fclose(input->file);
    source_close(packed);
}

static bool predict(const PredictArguments *given, const Config *c, Err *err)
{
    const SessionOptions o = {
        .model = given->model,
        .adapter = given->adapter,
        .other_base = given->other_base,
        .task = c->task,
        .model_config = c->model_config,
        .labels = &c->labels,
        .problem = c->problem_type,
        .max_length = (given->max_length > 0 ? given->max_length : c->data.max_length) +
                      (task_get(c->task)->speaks ? c->data.max_new_tokens : 0),
        .most_tokens = 4096,
        .arithmetic = c->parallel.arithmetic,
        .threads = (int)(c->parallel.threads > 0 ? c->parallel.threads : 0),
        .lanes = task_get(c->task)->speaks ? PREDICT_BATCH : 0,
    };
    const char *path = given->rest->positional_count > 0 ? given->rest->positionals[0] : "-";
    PredictInput input = { .path = strcmp(path, "-") == 0 ? NULL : path, .logits = given->logits, .run = c };
    input.name = input.path ? input.path : "standard input";
    Source packed = { 0 };
    Session session = { 0 };
    const bool ok =
        open_input(&input, &packed, err) && session_open(&session, &o, err) && answer(&session, &input, err);
    session_close(&session);
    close_input(&input, &packed);
    return ok;
}

static bool run(void *self, const Arguments *words, Err *err)
{
    PredictArguments *given = self;
    given->rest = words;
    if (given->length && !option_int("max_length", given->length, 1, INT32_MAX, &given->max_length, err))
        return false;
    if (!given->adapter) {
        err_set(err, ERR_INPUT, "no --adapter");
        return err_hint(err, "lora predict --adapter=DIR [--model=DIR] [FILE]");
    }
    if (given->model && run_folder_is_model(given->adapter)) {
        err_set(err, ERR_INPUT, "the folder holds a whole model, and needs no base");
        err_hint(err, "leave --model out");
        return err_at(err, "%s", given->adapter);
    }
    Config config = { 0 };
    const bool ok = adapter_run_check(given->adapter, err) && adapter_run_load(&config, given->adapter, words, err) &&
                    predict(given, &config, err);
    config_release(&config);
    return ok;
}

int cmd_predict(int argc, char **argv)
{
    PredictArguments given = { 0 };
    bool help = false;
    const Option own[] = {
        { "adapter", "DIR", "the adapter, as lora train or PEFT wrote it; or a model that was trained whole",
          &given.adapter, NULL },
        { "model", "DIR", "its base model; default: the one the adapter names", &given.model, NULL },
        { "max_length", "N", "at most N tokens a line", &given.length, NULL },
        { "logits", NULL, "print the logits too", NULL, &given.logits },
        { "other_base", NULL, "take the base though the adapter was trained on another", NULL, &given.other_base },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = {
        "lora predict",
        "[FILE]",
        "one JSON line a row of a .csv, .tsv, .jsonl, .json or .conll file (by the columns of the run), an "
        "image of a folder, or a line of any other text: a text (a TAB separates a pair), words, a "
        "prompt, a path of an image",
        own,
        sizeof own / sizeof *own,
        true
    };
    return command_main(&(Command){ &table, &help, 0, 1, run, &given }, argc, argv);
}
