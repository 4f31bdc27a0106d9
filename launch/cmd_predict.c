#include "launch/cmd_predict.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/options.h"
#include "launch/predict.h"

#include <stdlib.h>
#include <string.h>

typedef struct PredictArguments {
    const char *adapter, *model, *length, *task;
    bool logits, help;
    int64_t max_length;
    Arguments rest;
} PredictArguments;

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

/* --task_type; else the run's, else what PEFT's adapter_config.json says. */
static bool find_task(TaskType *task, const PredictArguments *given, const Config *run, Err *err)
{
    for (TaskType t = TASK_SEQ_CLS; given->task && t <= TASK_IMAGE_CLS; t++) {
        *task = t;
        if (strcmp(given->task, config_task_name(t)) == 0)
            return true;
    }
    if (given->task) {
        err_set(err, ERR_INPUT, "'%s' is not a task", given->task);
        err_hint(err, "SEQ_CLS, TOKEN_CLS, CAUSAL_LM or IMAGE_CLS");
        return err_at(err, "--task_type");
    }
    if (!run)
        return session_task(task, given->adapter, err);
    *task = run->task;
    return true;
}

/* ---- answers ---------------------------------------------------------------------------- */

static bool answer(Session *session, const PredictInput *input, Err *err)
{
    switch (session->arch->task) {
    case TASK_IMAGE_CLS:
        return predict_images(session, input, err);
    case TASK_TOKEN_CLS:
    case TASK_CAUSAL_LM:
    case TASK_SEQ_CLS:
        break;
    }
    return predict_texts(session, input, err);
}

static bool open_input(PredictInput *input, Err *err)
{
    const bool folder = input->path && file_is_folder(input->path);
    input->file = !input->path ? stdin : folder ? NULL : fopen(input->path, "re");
    if (input->file || folder)
        return true;
    err_errno(err, "cannot open");
    err->kind = ERR_INPUT;
    return err_at(err, "%s", input->path);
}

static bool predict(const PredictArguments *given, const Config *run_file, Err *err)
{
    const StringList none = { 0 };
    TaskType task;
    if (!find_task(&task, given, run_file, err))
        return false;
    const SessionOptions o = {
        .model = given->model, .adapter = given->adapter, .task = task,
        .model_config = run_file ? run_file->model_config : NULL,
        .labels = run_file ? &run_file->labels : &none,
        .problem = run_file ? run_file->problem_type : PROBLEM_AUTO,
        .max_length = given->max_length > 0 ? given->max_length : run_file ? run_file->data.max_length : 512,
        .most_tokens = 4096,
    };
    const char *path = given->rest.positional_count > 0 ? given->rest.positionals[0] : "-";
    PredictInput input = { .path = strcmp(path, "-") == 0 ? NULL : path, .logits = given->logits, .run = run_file };
    input.name = input.path ? input.path : "standard input";
    if (!open_input(&input, err))
        return false;
    Session session;
    const bool ok = session_open(&session, &o, err) && answer(&session, &input, err);
    session_close(&session);
    if (input.file && input.file != stdin)
        fclose(input.file);
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
        { "task_type", "WORD", "SEQ_CLS, TOKEN_CLS, IMAGE_CLS; default: what the adapter says", &given.task, NULL },
        { "max_length", "N", "at most N tokens a line", &given.length, NULL },
        { "logits", NULL, "print the logits too", NULL, &given.logits },
        { "help", NULL, "this text", NULL, &given.help },
    };
    const OptionTable table = { "lora predict", "[FILE]",
                                "one JSON line an input line: a text (a TAB separates a pair), words, a path of an image", own,
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
