#include "launch/cmd_predict.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "launch/adapter_run.h"
#include "launch/command.h"
#include "launch/predict.h"
#include "worker/train/fit.h"

#include <stdlib.h>
#include <string.h>

enum { SEVERAL_RANK = 256, SEVERAL_LABELS = 1024 }; /* that adapters beside the first may have */

typedef struct PredictArguments {
    const char *adapters[OPTION_MOST]; /* as given: DIR, or NAME=DIR each */
    const char *adapter, *model, *length, *answers; /* adapter: the folder of the first */
    bool logits, other_base;
    int64_t max_length, most_answers;
    const Groups *groups; /* of a job whose ranks hold a stage each; NULL: one process */
    const Arguments *rest; /* lent */
} PredictArguments;

/* ---- answers ---------------------------------------------------------------------------- */

static bool refuse(Session *session, const PredictInput *input, Err *err)
{
    (void)session, (void)input;
    err_set(err, ERR_INPUT, "this adapter makes embeddings of texts, and answers nothing");
    return err_hint(err, "lora embed --adapter=DIR FILE");
}

static bool answer(Session *session, const PredictInput *input, Err *err)
{
    static bool (*const answers[])(Session *, const PredictInput *, Err *) = {
        [TASK_SEQ_CLS] = predict_texts,         [TASK_TOKEN_CLS] = predict_words,
        [TASK_CAUSAL_LM] = predict_prompts,     [TASK_IMAGE_CLS] = predict_images,
        [TASK_SEQ_2_SEQ_LM] = predict_prompts,  [TASK_FEATURE_EXTRACTION] = refuse,
        [TASK_QUESTION_ANS] = predict_questions
    };
    return answers[session->base.adapted.arch->head.task->type](session, input, err);
}

/* NAME=DIR of several adapters over one base. */
typedef struct SeveralAdapters {
    char *names[OPTION_MOST], *folders[OPTION_MOST]; /* owned */
    NamedAdapter *named[OPTION_MOST + 1]; /* [count], and the base of a language model as ADAPTER_BASE */
    int count, open;
} SeveralAdapters;

static void release_several(SeveralAdapters *s)
{
    for (int i = 0; i < s->open; i++)
        named_adapter_close(s->named[i]);
    for (int i = 0; i < s->count; i++) {
        free(s->names[i]);
        free(s->folders[i]);
    }
}

static bool is_several(const PredictArguments *given)
{
    return given->adapters[0] && (given->adapters[1] || !file_exists(given->adapters[0])) &&
           strchr(given->adapters[0], '=');
}

static bool split_several(SeveralAdapters *s, const PredictArguments *given, Err *err)
{
    for (int i = 0; i < OPTION_MOST && given->adapters[i]; i++, s->count++) {
        if (!named_adapter_split(given->adapters[i], &s->names[i], &s->folders[i], err))
            return false;
        for (int k = 0; k < i; k++)
            if (strcmp(s->names[k], s->names[i]) == 0)
                return err_set(err, ERR_INPUT, "two adapters are called '%s'", s->names[i]);
    }
    return true;
}

static bool open_several(SeveralAdapters *s, const Session *session, const SessionOptions *o, Err *err)
{
    const Task *task = task_get(o->task);
    if (s->count > 0 && ((task->of_tokens && !task->speaks) || o->task == TASK_IMAGE_CLS)) {
        err_set(err, ERR_INPUT, "several adapters answer texts and prompts, not %s", config_task_name(o->task));
        return err_hint(err, "lora predict --adapter=DIR, one at a time");
    }
    for (int i = 0; i < s->count + (s->count > 0 && task->speaks); i++) {
        const bool base = i == s->count;
        s->named[i] =
            named_adapter_open(session, o, base ? ADAPTER_BASE : s->names[i], base ? NULL : s->folders[i], err);
        if (!s->named[i])
            return false;
        s->open++;
    }
    return true;
}

static bool predict(const PredictArguments *given, SeveralAdapters *several, const Config *c, Err *err)
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
                      (task_get(c->task)->two_texts ? 1 : 0) + (task_get(c->task)->speaks ? c->data.max_new_tokens : 0),
        .most_tokens = 4096,
        .arithmetic = c->parallel.arithmetic,
        .precision = c->train.precision,
        .threads = (int)(c->parallel.threads > 0 ? c->parallel.threads : 0),
        .lanes = task_get(c->task)->speaks ? PREDICT_BATCH : 0,
        .most_rank = several->count > 0 ? SEVERAL_RANK : 0,
        .most_labels = several->count > 0 ? SEVERAL_LABELS : 0,
        .room = fit_room(c, 0),
        .groups = given->groups,
    };
    const char *path = given->rest->positional_count > 0 ? given->rest->positionals[0] : "-";
    PredictInput input = { .path = strcmp(path, "-") == 0 ? NULL : path,
                           .logits = given->logits,
                           .most_answers = given->most_answers,
                           .run = c };
    input.name = input.path ? input.path : "standard input";
    Source packed = { 0 };
    Session session = { 0 };
    bool ok = predict_open(&input, &packed, err) && session_open(&session, &o, err) &&
              open_several(several, &session, &o, err);
    ok = command_agree(given->groups, ok);
    input.stages = session.stages;
    input.named = several->named;
    input.named_count = several->open;
    ok = ok && answer(&session, &input, err);
    release_several(several);
    session_close(&session);
    predict_close(&input, &packed);
    return ok;
}

static bool run(void *self, const Arguments *words, Err *err)
{
    PredictArguments *given = self;
    given->rest = words;
    if ((given->length && !option_int("max_length", given->length, 1, INT32_MAX, &given->max_length, err)) ||
        (given->answers && !option_int("nbest", given->answers, 1, 10000, &given->most_answers, err)))
        return false;
    SeveralAdapters several = { 0 };
    given->adapter = given->adapters[0];
    if (is_several(given) && given->groups && given->groups->pipeline.size > 1) {
        err_set(err, ERR_INPUT, "a model in %d stages answers with one adapter", given->groups->pipeline.size);
        return err_hint(err, "--adapter=DIR, one at a time");
    }
    if (is_several(given)) {
        if (!split_several(&several, given, err))
            return false;
        given->adapter = several.folders[0];
    } else if (given->adapters[0] && given->adapters[1]) {
        err_set(err, ERR_INPUT, "several adapters need a name each");
        return err_hint(err, "--adapter=NAME=DIR --adapter=OTHER=DIR; each row says which in its field 'adapter'");
    }
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
                    predict(given, &several, &config, err);
    config_release(&config);
    return ok;
}

int cmd_predict(int argc, char **argv)
{
    return cmd_predict_stages(argc, argv, NULL);
}

int cmd_predict_stages(int argc, char **argv, const Groups *groups)
{
    PredictArguments given = { .groups = groups };
    bool help = false;
    const Option own[] = {
        { "adapter", "DIR...",
          "the adapter, as lora train or PEFT wrote it; or a model that was trained whole; NAME=DIR, repeated: several "
          "over one base, of which each row names one in its field 'adapter'",
          given.adapters, NULL },
        { "model", "DIR", "its base model; default: the one the adapter names", &given.model, NULL },
        { "max_length", "N", "at most N tokens a line", &given.length, NULL },
        { "logits", NULL, "print the logits too", NULL, &given.logits },
        { "nbest", "N", "of questions, print the N best answers, too", &given.answers, NULL },
        { "other_base", NULL, "take the base though the adapter was trained on another", NULL, &given.other_base },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = {
        groups ? "lora_worker --predict" : "lora predict",
        "[FILE]",
        "one JSON line a row of a .csv, .tsv, .jsonl, .json or .conll file (by the columns of the run), an "
        "image of a folder, or a line of any other text: a text (a TAB separates a pair), words, a "
        "prompt, a question with its context (a TAB between), a path of an image",
        own,
        sizeof own / sizeof *own,
        true,
        0
    };
    return command_together(&(Command){ &table, &help, 0, 1, run, &given }, groups, argc, argv);
}
