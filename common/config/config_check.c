#include "common/config/config_check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 512 };

/* Places an error that was set at one key, or between two. Returns false. */
static bool at_key(const Config *config, const char *key, Err *err)
{
    char room[ROOM];
    return err_at(err, "%s", config_where(config, key, room, sizeof room));
}

static bool at_keys(const Config *config, const char *a, const char *b, Err *err)
{
    char first[ROOM / 2], second[ROOM / 2];
    return err_at(err, "%s and %s", config_where(config, a, first, sizeof first),
                  config_where(config, b, second, sizeof second));
}

/* ---- data and labels ---- */

static bool check_data(const Config *c, Err *err)
{
    const DataConfig *data = &c->data;
    if (data->validation.count > 0 && data->validation_split > 0) {
        err_set(err, ERR_INPUT, "validation data is named and split off as well");
        err_hint(err, "keep data.validation or data.validation_split");
        return at_keys(c, "data.validation", "data.validation_split", err);
    }
    if (strcmp(data->text, data->label) == 0) {
        err_set(err, ERR_INPUT, "text and label are the same column '%s'", data->text);
        err_hint(err, "name the columns of your data");
        return at_keys(c, "data.text", "data.label", err);
    }
    if (data->text_pair &&
        (strcmp(data->text_pair, data->text) == 0 || strcmp(data->text_pair, data->label) == 0)) {
        err_set(err, ERR_INPUT, "column '%s' is used twice", data->text_pair);
        err_hint(err, "name the columns of your data");
        return at_key(c, "data.text_pair", err);
    }
    if (c->problem_type == PROBLEM_SINGLE_LABEL && c->label_count == 1) {
        err_set(err, ERR_INPUT, "a single label leaves nothing to choose");
        err_hint(err, "two labels or more, or problem_type: regression");
        return at_keys(c, "labels", "problem_type", err);
    }
    return true;
}

/* ---- lora ---- */

static bool check_lora(const Config *c, Err *err)
{
    const LoraConfig *lora = &c->lora;
    if (lora->layers_to_transform && (lora->target_regex || lora->all_linear)) {
        err_set(err, ERR_INPUT, "layers_to_transform needs target_modules to be a list");
        err_hint(err, "put the layers into the expression, or list the modules");
        return at_keys(c, "lora.layers_to_transform", "lora.target_modules", err);
    }
    return true;
}

/* ---- schedule ---- */

static bool check_schedule(const Config *c, Err *err)
{
    const TrainConfig *t = &c->train;
    if (t->max_steps == 0) {
        err_set(err, ERR_INPUT, "no steps would be made");
        err_hint(err, "train.max_steps takes 1 or more, or -1 for num_train_epochs");
        return at_key(c, "train.max_steps", err);
    }
    if (t->warmup_steps > 0 && t->warmup_ratio > 0) {
        err_set(err, ERR_INPUT, "the warm-up is given in steps and as a share");
        err_hint(err, "keep train.warmup_steps or train.warmup_ratio");
        return at_keys(c, "train.warmup_steps", "train.warmup_ratio", err);
    }
    if (t->schedule == SCHEDULE_CONSTANT && (t->warmup_steps > 0 || t->warmup_ratio > 0)) {
        err_set(err, ERR_INPUT, "the schedule 'constant' has no warm-up");
        err_hint(err, "train.lr_scheduler_type: constant_with_warmup has one");
        return at_keys(c, "train.lr_scheduler_type",
                       t->warmup_steps > 0 ? "train.warmup_steps" : "train.warmup_ratio", err);
    }
    if (c->parallel.micro_batches > t->batch_size) {
        err_set(err, ERR_INPUT, "%lld micro-batches need as many examples, a batch has %lld",
                (long long)c->parallel.micro_batches, (long long)t->batch_size);
        err_hint(err, "lower parallel.micro_batches or raise train.batch_size");
        return at_keys(c, "parallel.micro_batches", "train.batch_size", err);
    }
    return true;
}

/* ---- evaluation ---- */

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

static bool check_metric(const Config *c, Err *err)
{
    static const char *const classes[] = { "loss",   "accuracy", "f1", "precision",
                                           "recall", "matthews", NULL };
    static const char *const values[] = { "loss", "pearson", "spearman", "mse", NULL };
    const char *metric = c->train.metric_for_best_model;
    const bool of_classes = is_one_of(metric, classes) && c->problem_type != PROBLEM_REGRESSION;
    const bool of_values = is_one_of(metric, values) && (c->problem_type == PROBLEM_REGRESSION ||
                                                         c->problem_type == PROBLEM_AUTO);
    /* Matthews' coefficient is one of exclusive classes */
    const bool exclusive =
        c->problem_type == PROBLEM_MULTI_LABEL && strcmp(metric, "matthews") == 0;
    if ((of_classes || of_values) && !exclusive)
        return true;
    err_set(err, ERR_INPUT, "this task has no metric '%s'", metric);
    if (c->problem_type == PROBLEM_REGRESSION)
        err_hint(err, "regression has loss, pearson, spearman, mse");
    else
        err_hint(err, "classification has loss, accuracy, f1, precision, recall%s",
                 c->problem_type == PROBLEM_MULTI_LABEL ? "" : ", matthews");
    return at_key(c, "train.metric_for_best_model", err);
}

static bool check_best_model(const Config *c, Err *err)
{
    const TrainConfig *t = &c->train;
    if (t->early_stopping_patience > 0 && t->eval_strategy == WHEN_NO) {
        err_set(err, ERR_INPUT, "early stopping needs evaluations");
        err_hint(err, "set data.validation and train.eval_strategy");
        return at_keys(c, "train.early_stopping_patience", "train.eval_strategy", err);
    }
    if (!t->load_best_model_at_end)
        return true;
    if (t->eval_strategy == WHEN_NO) {
        err_set(err, ERR_INPUT, "the best model is found by evaluations, and there are none");
        err_hint(err, "set data.validation and train.eval_strategy");
        return at_keys(c, "train.load_best_model_at_end", "train.eval_strategy", err);
    }
    if (t->eval_strategy != t->save_strategy) {
        err_set(err, ERR_INPUT, "load_best_model_at_end needs a checkpoint at each evaluation");
        err_hint(err, "give train.eval_strategy and train.save_strategy the same value");
        return at_keys(c, "train.eval_strategy", "train.save_strategy", err);
    }
    if (t->eval_strategy == WHEN_STEPS && t->save_steps % t->eval_steps != 0) {
        err_set(err, ERR_INPUT, "save_steps %lld is no multiple of eval_steps %lld",
                (long long)t->save_steps, (long long)t->eval_steps);
        err_hint(err, "load_best_model_at_end needs an evaluation at each checkpoint");
        return at_keys(c, "train.save_steps", "train.eval_steps", err);
    }
    return true;
}

static bool check_evaluation(const Config *c, Err *err)
{
    const bool any = c->data.validation.count > 0 || c->data.validation_split > 0;
    if (c->train.eval_strategy != WHEN_NO && !any) {
        err_set(err, ERR_INPUT, "there is no validation data to evaluate");
        err_hint(err, "set data.validation or data.validation_split");
        return at_key(c, "train.eval_strategy", err);
    }
    return check_metric(c, err) && check_best_model(c, err);
}

/* ---- parameter server ---- */

static bool is_port(const char *text)
{
    if (strcmp(text, "*") == 0)
        return true;
    const size_t n = strspn(text, "0123456789");
    const int port = n > 0 && n <= 5 ? atoi(text) : 0;
    return text[n] == '\0' && port >= 1 && port <= 65535;
}

/* tcp://HOST:PORT with host[0,n); "[::1]" keeps its brackets. */
static bool split_address(const char *address, const char **host, size_t *n)
{
    const char scheme[] = "tcp://";
    if (strncmp(address, scheme, sizeof scheme - 1) != 0)
        return false;
    *host = address + sizeof scheme - 1;
    const char *colon = strrchr(*host, ':');
    if (!colon || colon == *host || !is_port(colon + 1))
        return false;
    *n = (size_t)(colon - *host);
    const bool bracketed = (*host)[0] == '[' && colon[-1] == ']';
    for (size_t i = 0; i < *n; i++) {
        const unsigned char ch = (unsigned char)(*host)[i];
        if (!isalnum(ch) && !strchr("._-*", ch) && !(bracketed && strchr("[]:%", ch)))
            return false;
    }
    return true;
}

/* 127.anything as four numbers: a name like 127.example.org is somebody else's. */
static bool is_loopback(const char *host, size_t n)
{
    static const char *const names[] = { "localhost", "[::1]" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && strncmp(host, names[i], n) == 0)
            return true;
    int dots = 0;
    for (size_t i = 0; i < n; i++) {
        dots += host[i] == '.';
        if (host[i] != '.' && !isdigit((unsigned char)host[i]))
            return false;
    }
    return dots == 3 && strncmp(host, "127.", 4) == 0;
}

static bool check_ps(const Config *c, Err *err)
{
    const PsConfig *ps = &c->ps;
    const char *host;
    size_t n;
    if (ps->lease_timeout <= ps->heartbeat) {
        err_set(err, ERR_INPUT, "a lease would end between two signs of life");
        err_hint(err, "ps.lease_timeout must be longer than ps.heartbeat, better three times");
        return at_keys(c, "ps.lease_timeout", "ps.heartbeat", err);
    }
    if (!ps->address)
        return true;
    if (!split_address(ps->address, &host, &n)) {
        err_set(err, ERR_INPUT, "'%.200s' is not an address", ps->address);
        err_hint(err, "tcp://HOST:PORT, as tcp://127.0.0.1:7700");
        return at_key(c, "ps.address", err);
    }
    if (is_loopback(host, n) || ps->insecure)
        return true;
    err_set(err, ERR_INPUT, "'%.200s' is not loopback, and anyone could reach it unencrypted",
            ps->address);
    err_hint(err, "ps.insecure: true accepts that, in a network you trust (ps.keys is not "
                  "supported yet)");
    return at_key(c, "ps.address", err);
}

/* ---- all ---- */

bool config_check(const Config *config, Err *err)
{
    if (!config->model) {
        err_set(err, ERR_INPUT, "no model is named");
        err_hint(err, "model: FOLDER in the run file, or --model=FOLDER");
        return config->source[0] ? err_at(err, "%s", config->source) : false;
    }
    return check_data(config, err) && check_lora(config, err) && check_schedule(config, err) &&
           check_evaluation(config, err) && check_ps(config, err);
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
