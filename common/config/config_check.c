#include "common/config/config_check.h"

#include "common/base/address.h"
#include "common/base/form.h"
#include "common/config/config_embed.h"
#include "common/config/config_meta.h"
#include "common/config/config_method.h"
#include "common/config/config_table.h"
#include "common/config/config_tasks.h"

#include <stdlib.h>
#include <string.h>

/* Places an error that was set at one key. Returns false. */
static bool at_key(const Config *config, const char *key, Err *err)
{
    char room[512];
    return err_at(err, "%s", config_where(config, key, room, sizeof room));
}

/* ---- data and labels ---- */

/* Keys that mean something for one task only; the others must leave them alone. */
static bool check_task_keys(const Config *c, Err *err)
{
    const DataConfig *d = &c->data;
    const struct {
        const char *key;
        bool set;
        TaskType task, other; /* that it is a key of; the same: of one alone */
    } rows[] = {
        { "data.text_pair", d->text_pair != NULL, TASK_SEQ_CLS, TASK_SEQ_CLS },
        { "data.prompt", d->prompt != NULL, TASK_CAUSAL_LM, TASK_SEQ_2_SEQ_LM },
        { "data.completion", d->completion != NULL, TASK_CAUSAL_LM, TASK_SEQ_2_SEQ_LM },
        { "data.messages", d->messages != NULL, TASK_CAUSAL_LM, TASK_CAUSAL_LM },
        { "data.template", d->template_text != NULL, TASK_CAUSAL_LM, TASK_SEQ_2_SEQ_LM },
        { "data.system", d->system != NULL, TASK_CAUSAL_LM, TASK_CAUSAL_LM },
        { "data.packing", d->packing, TASK_CAUSAL_LM, TASK_CAUSAL_LM },
        { "data.block_size", d->block_size > 0, TASK_CAUSAL_LM, TASK_CAUSAL_LM },
        { "data.generate", d->generate, TASK_CAUSAL_LM, TASK_SEQ_2_SEQ_LM },
        { "data.random_crop", d->random_crop, TASK_IMAGE_CLS, TASK_IMAGE_CLS },
        { "data.random_flip", d->random_flip, TASK_IMAGE_CLS, TASK_IMAGE_CLS },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].set || rows[i].task == c->task || rows[i].other == c->task)
            continue;
        err_set(err, ERR_INPUT, "%s is a key of %s, the task is %s", rows[i].key, config_task_name(rows[i].task),
                config_task_name(c->task));
        err_hint(err, "set task_type: %s, or remove the key", config_task_name(rows[i].task));
        return config_at_keys(c, rows[i].key, "task_type", err);
    }
    return true;
}

/* What the model learns to say, and whether there are classes at all. */
static bool check_labels(const Config *c, Err *err)
{
    const bool any = c->labels.count > 0 || c->label_count > 0;
    if (c->task == TASK_FEATURE_EXTRACTION && any) {
        err_set(err, ERR_INPUT, "embeddings have no labels");
        err_hint(err, "remove labels, or set task_type: SEQ_CLS");
        return config_at_keys(c, "labels", "task_type", err);
    }
    if (config_is_language(c->task) && any) {
        err_set(err, ERR_INPUT, "a language model has no labels");
        err_hint(err, "remove labels, or set task_type: SEQ_CLS");
        return config_at_keys(c, "labels", "task_type", err);
    }
    if (c->task == TASK_QUESTION_ANS && any) {
        err_set(err, ERR_INPUT, "answers are parts of a text, not labels");
        err_hint(err, "remove labels");
        return config_at_keys(c, "labels", "task_type", err);
    }
    const bool kinds =
        c->task == TASK_SEQ_CLS || (c->task == TASK_IMAGE_CLS && c->problem_type == PROBLEM_SINGLE_LABEL);
    if (c->problem_type != PROBLEM_AUTO && !kinds) {
        err_set(err, ERR_INPUT, "problem_type does not go with task_type %s", config_task_name(c->task));
        err_hint(err, c->task == TASK_IMAGE_CLS ? "images have one class each: remove the key"
                                                : "problem_type is a key of SEQ_CLS: remove it");
        return config_at_keys(c, "problem_type", "task_type", err);
    }
    const bool classes =
        c->task == TASK_TOKEN_CLS || c->task == TASK_IMAGE_CLS || c->problem_type == PROBLEM_SINGLE_LABEL;
    if (classes && c->label_count == 1) {
        err_set(err, ERR_INPUT, "a single label leaves nothing to choose");
        err_hint(err, "two labels or more%s", c->task == TASK_SEQ_CLS ? ", or problem_type: regression" : "");
        return c->task == TASK_SEQ_CLS ? config_at_keys(c, "labels", "problem_type", err) : at_key(c, "labels", err);
    }
    return true;
}

static bool used_twice(const Config *c, const char *a, const char *b, const char *name, Err *err)
{
    err_set(err, ERR_INPUT, "column '%s' is used twice", name);
    err_hint(err, "name the columns of your data");
    return config_at_keys(c, a, b, err);
}

static bool check_columns(const Config *c, Err *err)
{
    const DataConfig *data = &c->data;
    if (c->task == TASK_TOKEN_CLS && strcmp(data->tokens, data->tags) == 0)
        return used_twice(c, "data.tokens", "data.tags", data->tokens, err);
    if (data->prompt && data->completion && strcmp(data->prompt, data->completion) == 0)
        return used_twice(c, "data.prompt", "data.completion", data->prompt, err);
    if (c->task == TASK_QUESTION_ANS && strcmp(data->question, data->context) == 0)
        return used_twice(c, "data.question", "data.context", data->question, err);
    if (c->task != TASK_SEQ_CLS)
        return true;
    if (strcmp(data->text, data->label) == 0) {
        err_set(err, ERR_INPUT, "text and label are the same column '%s'", data->text);
        err_hint(err, "name the columns of your data");
        return config_at_keys(c, "data.text", "data.label", err);
    }
    if (data->text_pair && (strcmp(data->text_pair, data->text) == 0 || strcmp(data->text_pair, data->label) == 0)) {
        err_set(err, ERR_INPUT, "column '%s' is used twice", data->text_pair);
        err_hint(err, "name the columns of your data");
        return at_key(c, "data.text_pair", err);
    }
    return true;
}

/* Keys a and b are of two kinds of rows. */
static bool two_kinds(const Config *c, const char *a, const char *b, const char *what, Err *err)
{
    err_set(err, ERR_INPUT, "%s", what);
    err_hint(err, "keep %s or %s", a, b);
    return config_at_keys(c, a, b, err);
}

static bool check_prompts(const Config *c, Err *err)
{
    const DataConfig *d = &c->data;
    if (d->template_text && d->prompt)
        return two_kinds(c, "data.template", "data.prompt", "the prompt is a column and a template at once", err);
    if (d->template_text && d->messages)
        return two_kinds(c, "data.template", "data.messages", "the data has a template and conversations at once", err);
    if (d->template_text && !form_check(d->template_text, err))
        return at_key(c, "data.template", err);
    if (d->prompt ? !d->completion : d->completion && !d->template_text) {
        err_set(err, ERR_INPUT, "a prompt and its completion go together");
        err_hint(err, "set data.prompt (or data.template) and data.completion, or neither");
        return config_at_keys(c, "data.prompt", "data.completion", err);
    }
    if (d->prompt && d->messages)
        return two_kinds(c, "data.prompt", "data.messages", "the data has prompts and conversations at once", err);
    if (d->system && !d->messages) {
        err_set(err, ERR_INPUT, "the system's message stands in conversations, and there are none");
        err_hint(err, "set data.messages; or write it into data.template");
        return at_key(c, "data.system", err);
    }
    return true;
}

/* `rows`: the key that says that examples are rows; NULL: plain text. */
static bool check_blocks(const Config *c, const char *rows, Err *err)
{
    const DataConfig *d = &c->data;
    if (d->packing && d->block_size < 1) {
        err_set(err, ERR_INPUT, "how large a pack may be is not said");
        err_hint(err, "set data.block_size: %lld (tokens), or more", (long long)d->max_length);
        return at_key(c, "data.packing", err);
    }
    if (d->packing && d->max_length > d->block_size) {
        err_set(err, ERR_INPUT, "a row of %lld tokens does not fit into a pack of %lld", (long long)d->max_length,
                (long long)d->block_size);
        err_hint(err, "lower data.max_length (longer rows are cut to it), or raise data.block_size");
        return config_at_keys(c, "data.max_length", "data.block_size", err);
    }
    if (rows && d->block_size > 0 && !d->packing) {
        err_set(err, ERR_INPUT, "blocks are cut from plain text, not from rows");
        err_hint(err, "remove data.block_size, or %s; data.packing: true puts short rows together", rows);
        return config_at_keys(c, "data.block_size", rows, err);
    }
    return true;
}

/* Plain text, prompts with completions, or conversations. */
static bool check_language(const Config *c, Err *err)
{
    const DataConfig *d = &c->data;
    const char *rows = d->prompt          ? "data.prompt"
                       : d->messages      ? "data.messages"
                       : d->template_text ? "data.template"
                                          : NULL;
    if (!check_prompts(c, err) || !check_blocks(c, rows, err))
        return false;
    if (c->task == TASK_SEQ_2_SEQ_LM && d->train.count > 0 && !d->completion) {
        err_set(err, ERR_INPUT, "which columns hold sources and targets is not said");
        err_hint(err, "set data.prompt (or data.template) to the source's, data.completion to the target's");
        return at_key(c, "data.completion", err);
    }
    if (d->generate && !d->completion && !d->messages) {
        err_set(err, ERR_INPUT, "there are no prompts to generate from");
        err_hint(err, "set data.prompt (or data.template) and data.completion, or data.messages");
        return at_key(c, "data.generate", err);
    }
    if (!d->do_sample && (d->temperature != 1.0 || d->top_p != 1.0)) {
        err_set(err, ERR_INPUT, "nothing is drawn at random, so it has no effect");
        err_hint(err, "set data.do_sample: true, or remove it");
        return config_at_keys(c, d->temperature != 1.0 ? "data.temperature" : "data.top_p", "data.do_sample", err);
    }
    return true;
}

/* A loss over places knows no smoothing; windows have to get on. */
static bool check_spans(const Config *c, Err *err)
{
    const DataConfig *d = &c->data;
    if (c->task != TASK_QUESTION_ANS)
        return true;
    if (c->train.label_smoothing > 0) {
        err_set(err, ERR_INPUT, "the two ends of an answer are not smoothed");
        err_hint(err, "remove train.label_smoothing_factor");
        return config_at_keys(c, "train.label_smoothing_factor", "task_type", err);
    }
    if (d->doc_stride < d->max_length)
        return true;
    err_set(err, ERR_INPUT, "windows of %lld tokens that share %lld do not get on", (long long)d->max_length,
            (long long)d->doc_stride);
    err_hint(err, "doc_stride is what two windows share, not the step between them: a third of max_length is usual");
    return config_at_keys(c, "data.doc_stride", "data.max_length", err);
}

static bool check_data(const Config *c, Err *err)
{
    const DataConfig *data = &c->data;
    if (data->validation.count > 0 && data->validation_split > 0) {
        err_set(err, ERR_INPUT, "validation data is named and split off as well");
        err_hint(err, "keep data.validation or data.validation_split");
        return config_at_keys(c, "data.validation", "data.validation_split", err);
    }
    return check_task_keys(c, err) && check_columns(c, err) && check_language(c, err) && check_labels(c, err) &&
           check_spans(c, err) && config_check_embed(c, err);
}

/* ---- lora ---- */

/* Where every weight is trained there is no adapter: its keys are as if nobody had set them. */
static bool check_full(const Config *c, Err *err)
{
    Config plain = { 0 };
    int count;
    const ConfigKey *keys = config_keys(&count), *other = NULL;
    if (c->lora.mode != MODE_FULL)
        return true;
    if (!config_load_keys(&plain, &(ConfigSources){ 0 }, err))
        return false;
    for (int i = 0; i < count && !other; i++) {
        Text here = { 0 }, usual = { 0 };
        if (!config_key_of_adapter(keys[i].name))
            continue;
        config_print_key(c, keys[i].name, &here);
        config_print_key(&plain, keys[i].name, &usual);
        other = strcmp(here.data, usual.data) == 0 ? NULL : &keys[i];
        text_release(&here);
        text_release(&usual);
    }
    config_release(&plain);
    if (!other)
        return true;
    err_set(err, ERR_INPUT, "every weight is trained, without an adapter: %s would have no effect", other->name);
    err_hint(err, "remove it, or set train.mode: lora");
    return config_at_keys(c, other->name, "train.mode", err);
}

/* What PEFT's LoraConfig does not take together. */
static bool check_methods(const Config *c, Err *err)
{
    const LoraConfig *l = &c->lora;
    const struct {
        bool both;
        const char *a, *b, *what;
    } rows[] = {
        { l->use_dora && l->lora_bias, "lora.use_dora", "lora.lora_bias", "DoRA's B has no bias" },
        { l->lora_bias && l->init != INIT_TRUE, "lora.lora_bias", "lora.init_lora_weights",
          "a bias of B begins as zero, and so does B" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].both) {
            err_set(err, ERR_INPUT, "%s", rows[i].what);
            err_hint(err, "remove %s or %s", rows[i].a, rows[i].b);
            return config_at_keys(c, rows[i].a, rows[i].b, err);
        }
    return true;
}

static bool check_lora(const Config *c, Err *err)
{
    const LoraConfig *lora = &c->lora;
    if (!check_methods(c, err))
        return false;
    if (lora->layers_to_transform && (lora->target_regex || lora->all_linear)) {
        err_set(err, ERR_INPUT, "layers_to_transform needs target_modules to be a list");
        err_hint(err, "put the layers into the expression, or list the modules");
        return config_at_keys(c, "lora.layers_to_transform", "lora.target_modules", err);
    }
    if (lora->init_adapter && lora->init != INIT_TRUE) {
        err_set(err, ERR_INPUT, "the run begins with the values of lora.init_adapter, so it has no effect");
        err_hint(err, "remove one of them");
        return config_at_keys(c, "lora.init_lora_weights", "lora.init_adapter", err);
    }
    return config_check_method(c, err);
}

/* ---- rates ---- */

/* LoRA+ has three keys; the first switches it on, and Trainer's weight_decay is not used then. */
static bool check_loraplus(const Config *c, Err *err)
{
    static const char ratio[] = "train.loraplus_lr_ratio";
    static const char *const others[] = { "train.loraplus_lr_embedding", "train.loraplus_weight_decay" };
    const TrainConfig *t = &c->train;
    const bool plus = t->loraplus_lr_ratio > 0;
    const bool set[] = { t->loraplus_lr_embedding != 1e-6, t->loraplus_weight_decay != 0 };
    for (int i = 0; i < 2; i++)
        if (!plus && set[i]) {
            err_set(err, ERR_INPUT, "LoRA+ is off, so it has no effect");
            err_hint(err, "set %s: 16, or remove it", ratio);
            return config_at_keys(c, others[i], ratio, err);
        }
    if (plus && t->weight_decay > 0) {
        err_set(err, ERR_INPUT, "LoRA+ has a weight decay of its own, and does not look at this one");
        err_hint(err, "write train.loraplus_weight_decay");
        return config_at_keys(c, "train.weight_decay", ratio, err);
    }
    if (plus && !(t->learning_rate > 0)) {
        err_set(err, ERR_INPUT, "LoRA+ multiplies the learning rate, which is 0");
        err_hint(err, "raise train.learning_rate");
        return config_at_keys(c, "train.learning_rate", ratio, err);
    }
    return true;
}

/* ---- schedule ---- */

static bool check_schedule(const Config *c, Err *err)
{
    const TrainConfig *t = &c->train;
    if (t->neftune_alpha > 0 && c->task == TASK_IMAGE_CLS) {
        err_set(err, ERR_INPUT, "NEFTune's noise is for words, and images have none");
        err_hint(err, "remove train.neftune_noise_alpha");
        return config_at_keys(c, "train.neftune_noise_alpha", "task_type", err);
    }
    if (t->max_steps == 0) {
        err_set(err, ERR_INPUT, "no steps would be made");
        err_hint(err, "train.max_steps takes 1 or more, or -1 for num_train_epochs");
        return at_key(c, "train.max_steps", err);
    }
    if (t->warmup_steps > 0 && t->warmup_ratio > 0) {
        err_set(err, ERR_INPUT, "the warm-up is given in steps and as a share");
        err_hint(err, "keep train.warmup_steps or train.warmup_ratio");
        return config_at_keys(c, "train.warmup_steps", "train.warmup_ratio", err);
    }
    if (!schedule_has_warmup(t->schedule) && (t->warmup_steps > 0 || t->warmup_ratio > 0)) {
        err_set(err, ERR_INPUT, "this schedule has no warm-up");
        err_hint(err, "remove it; or train.lr_scheduler_type: constant_with_warmup, which has one");
        return config_at_keys(c, "train.lr_scheduler_type",
                              t->warmup_steps > 0 ? "train.warmup_steps" : "train.warmup_ratio", err);
    }
    Schedule schedule;
    if (!schedule_init(&schedule, t->schedule, t->learning_rate, t->schedule_options, err))
        return config_at_keys(c, "train.lr_scheduler_kwargs", "train.lr_scheduler_type", err);
    if (c->parallel.memory && text_bytes(c->parallel.memory) == 0) {
        err_set(err, ERR_INPUT, "'%s' is no amount of memory", c->parallel.memory);
        err_hint(err, "write it as 16GB or 900MB");
        return at_key(c, "parallel.memory", err);
    }
    if (c->parallel.micro_batches > t->batch_size) {
        err_set(err, ERR_INPUT, "%lld micro-batches need as many examples, a batch has %lld",
                (long long)c->parallel.micro_batches, (long long)t->batch_size);
        err_hint(err, "lower parallel.micro_batches or raise train.batch_size");
        return config_at_keys(c, "parallel.micro_batches", "train.batch_size", err);
    }
    return true;
}

/* ---- precision ---- */

/* What reads the base's own numbers, or changes them: a base that is rounded behind its back is another. */
static bool check_precision(const Config *c, Err *err)
{
    const LoraConfig *l = &c->lora;
    const bool shifts = l->init == INIT_PISSA || l->init == INIT_OLORA || l->init >= INIT_PISSA_NITER;
    if (c->train.precision == PRECISION_FP32 || !(shifts || l->use_dora || l->mode == MODE_FULL))
        return true;
    if (l->mode == MODE_FULL)
        err_set(err, ERR_INPUT, "every weight is trained, and what is trained is fp32");
    else if (l->use_dora)
        err_set(err, ERR_INPUT, "DoRA's lengths are those of the base's rows before they are rounded");
    else
        err_set(err, ERR_INPUT, "A and B begin with a part of the base, which is taken from it before it is rounded");
    err_hint(err, "train.precision: fp32");
    return config_at_keys(c, "train.precision",
                          l->mode == MODE_FULL ? "train.mode"
                          : l->use_dora        ? "lora.use_dora"
                                               : "lora.init_lora_weights",
                          err);
}

/* ---- arithmetic ---- */

/* LEVEL or LEVEL/CORE; which cores there are, the library knows. */
static bool check_arithmetic(const Config *c, Err *err)
{
    static const char *const levels[] = { "auto",           "x86-64-v2",     "x86-64-v3", "x86-64-v4",
                                          "x86-64-v4-bf16", "x86-64-v4-amx", "portable" };
    const char *name = c->parallel.arithmetic;
    const size_t length = strcspn(name, "/");
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        const bool fits = strlen(levels[i]) == length && strncmp(levels[i], name, length) == 0;
        if (fits && (name[length] == '\0' || (i > 0 && name[length + 1] != '\0' && strlen(name) < 40)))
            return true;
    }
    err_set(err, ERR_INPUT, "'%s' is no arithmetic", name);
    err_hint(err, "parallel.arithmetic takes auto, x86-64-v2, -v3, -v4, -v4-bf16, -v4-amx, or one with a core of "
                  "OpenBLAS, as x86-64-v3/Zen");
    return at_key(c, "parallel.arithmetic", err);
}

/* ---- evaluation ---- */

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

/* The metrics of a task, in the words of its evaluation. */
static void metric_names(const Config *c, const char *names[8])
{
    static const char *const of_classes[] = { "accuracy", "f1", "precision", "recall", "matthews" };
    static const char *const of_values[] = { "pearson", "spearman", "mse" };
    static const char *const of_answers[] = { "exact_match", "f1",          "HasAns_exact",
                                              "HasAns_f1",   "NoAns_exact", "NoAns_f1" };
    int n = 0;
    names[n++] = "loss";
    if (c->task == TASK_FEATURE_EXTRACTION) {
        for (const char *const *name = config_embed_metrics(c); *name; name++)
            names[n++] = *name;
    } else if (config_is_language(c->task)) {
        names[n++] = "perplexity";
        if (c->data.generate) {
            names[n++] = "bleu";
            names[n++] = "rougeL";
        }
    } else if (c->task == TASK_QUESTION_ANS) {
        for (size_t i = 0; i < (c->data.impossible ? 6u : 2u); i++)
            names[n++] = of_answers[i];
    } else if (c->problem_type == PROBLEM_REGRESSION) {
        for (size_t i = 0; i < sizeof of_values / sizeof *of_values; i++)
            names[n++] = of_values[i];
    } else {
        /* Matthews' coefficient is one of exclusive classes */
        const bool exclusive = c->task != TASK_TOKEN_CLS && c->problem_type != PROBLEM_MULTI_LABEL;
        for (size_t i = 0; i < (exclusive ? 5u : 4u); i++)
            names[n++] = of_classes[i];
    }
    names[n] = NULL;
}

static bool check_metric(const Config *c, Err *err)
{
    static const char *const of_values[] = { "pearson", "spearman", "mse", NULL };
    const char *metric = config_tasks_metric(c, c->train.metric_for_best_model), *names[8];
    metric_names(c, names);
    /* SEQ_CLS may turn out to be a regression: its labels say so, or the model's config */
    const bool maybe = c->task == TASK_SEQ_CLS && c->problem_type == PROBLEM_AUTO;
    if (is_one_of(metric, names) || (maybe && is_one_of(metric, of_values)))
        return true;
    Text list = { 0 };
    for (int i = 0; names[i]; i++)
        text_addf(&list, "%s%s", i ? ", " : "", names[i]);
    err_set(err, ERR_INPUT, "this task has no metric '%s'", metric);
    err_hint(err, "%s has %s%s",
             c->task != TASK_SEQ_CLS                 ? config_task_name(c->task)
             : c->problem_type == PROBLEM_REGRESSION ? "regression"
                                                     : "classification",
             list.data, config_is_language(c->task) && !c->data.generate ? "; data.generate adds bleu, rougeL" : "");
    text_release(&list);
    return at_key(c, "train.metric_for_best_model", err);
}

static bool check_best_model(const Config *c, Err *err)
{
    const TrainConfig *t = &c->train;
    if (t->early_stopping_patience > 0 && t->eval_strategy == WHEN_NO) {
        err_set(err, ERR_INPUT, "early stopping needs evaluations");
        err_hint(err, "set data.validation and train.eval_strategy");
        return config_at_keys(c, "train.early_stopping_patience", "train.eval_strategy", err);
    }
    if (t->load_best_model_at_end && t->eval_strategy == WHEN_NO) {
        err_set(err, ERR_INPUT, "the best model is found by evaluations, and there are none");
        err_hint(err, "set data.validation and train.eval_strategy");
        return config_at_keys(c, "train.load_best_model_at_end", "train.eval_strategy", err);
    }
    return true;
}

/* A rate that follows evaluations needs them, and has to fall when they get worse. */
static bool check_measured(const Config *c, Err *err)
{
    const TrainConfig *t = &c->train;
    if (!schedule_is_measured(t->schedule))
        return true;
    if (t->eval_strategy == WHEN_NO) {
        err_set(err, ERR_INPUT, "this schedule follows evaluations, and there are none");
        err_hint(err, "set data.validation and train.eval_strategy");
        return config_at_keys(c, "train.lr_scheduler_type", "train.eval_strategy", err);
    }
    Schedule schedule;
    if (!schedule_init(&schedule, t->schedule, t->learning_rate, t->schedule_options, err))
        return false; /* check_schedule has seen to it */
    const bool less = config_less_is_better(t->metric_for_best_model);
    if ((schedule.mode == PLATEAU_MIN) == less)
        return true;
    err_set(err, ERR_INPUT,
            "the learning rate would fall when '%s' gets better: of it %s is better, and the mode is %s",
            t->metric_for_best_model, less ? "less" : "more", less ? "max" : "min");
    err_hint(err, "train.lr_scheduler_kwargs: {mode: %s}", less ? "min" : "max");
    return config_at_keys(c, "train.lr_scheduler_kwargs", "train.metric_for_best_model", err);
}

static bool check_evaluation(const Config *c, Err *err)
{
    const bool any = c->data.validation.count > 0 || c->data.validation_split > 0;
    if (c->train.eval_strategy != WHEN_NO && !any) {
        err_set(err, ERR_INPUT, "there is no validation data to evaluate");
        err_hint(err, "set data.validation or data.validation_split");
        return at_key(c, "train.eval_strategy", err);
    }
    return check_metric(c, err) && check_best_model(c, err) && check_measured(c, err);
}

/* ---- parameter server ---- */

static bool check_ps(const Config *c, Err *err)
{
    const PsConfig *ps = &c->ps;
    if (ps->lease_timeout <= ps->heartbeat) {
        err_set(err, ERR_INPUT, "a lease would end between two signs of life");
        err_hint(err, "ps.lease_timeout must be longer than ps.heartbeat, better three times");
        return config_at_keys(c, "ps.lease_timeout", "ps.heartbeat", err);
    }
    if (!ps->address)
        return true;
    Address address;
    if (!address_read(&address, ps->address, err))
        return at_key(c, "ps.address", err);
    const bool loopback = address.loopback;
    address_release(&address);
    if (loopback || ps->keys || ps->insecure)
        return true;
    err_set(err, ERR_INPUT, "'%.200s' is not loopback, and anyone could reach it unencrypted", ps->address);
    err_hint(err, "`lora keys new FOLDER`, and ps.keys: FOLDER; or ps.insecure: true, in a network you trust");
    return at_key(c, "ps.address", err);
}

static bool check_rounding(const Config *c, Err *err)
{
    if (c->ps.wire_dtype != WIRE_INT8 || c->ps.mode != PS_SYNC)
        return true;
    err_set(err, ERR_INPUT,
            "ps.wire_dtype: int8 rounds by what a replica has left over, so bits depend on who computes");
    err_hint(err, "set ps.mode: ssp or async, which promise none, or ps.wire_dtype: bf16");
    return config_at_keys(c, "ps.wire_dtype", "ps.mode", err);
}

/* ---- all ---- */

bool config_check(const Config *config, Err *err)
{
    if (!config->model) {
        err_set(err, ERR_INPUT, "no model is named");
        err_hint(err, "model: FOLDER in the run file, or --model=FOLDER");
        return config->source[0] ? err_at(err, "%s", config->source) : false;
    }
    return check_data(config, err) && check_full(config, err) && config_tasks_check(config, err) &&
           config_meta_check(config, err) && check_lora(config, err) && check_precision(config, err) &&
           check_arithmetic(config, err) && check_loraplus(config, err) && check_schedule(config, err) &&
           check_evaluation(config, err) && check_ps(config, err) && check_rounding(config, err);
}

bool config_check_training(const Config *config, Err *err)
{
    if (config->data.train.count == 0) {
        err_set(err, ERR_INPUT, "no training data is named");
        err_hint(err, "data: train: FILE in the run file, or --data.train=FILE");
        return at_key(config, "data.train", err);
    }
    if (!config->train.output_dir) {
        err_set(err, ERR_INPUT, "no folder for the results is named");
        err_hint(err, "train: output_dir: FOLDER in the run file, or --train.output_dir=FOLDER");
        return at_key(config, "train.output_dir", err);
    }
    return true;
}
