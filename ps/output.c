#include "ps/output.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/config/config_meta.h"
#include "common/model/sentence.h"
#include "common/plan/steps.h"
#include "ps/card.h"
#include "ps/checkpoint_files.h"
#include "ps/costs.h"
#include "ps/history.h"
#include "ps/inputs.h"
#include "ps/resume.h"

#include <math.h>
#include <stdlib.h>

static void set(json_t *object, const char *key, json_t *value)
{
    REQUIRE(json_object_set_new(object, key, value ? value : json_null()) == 0);
}

static void set_real(json_t *object, const char *key, double value)
{
    set(object, key, isfinite(value) ? json_real(value) : json_null());
}

static void set_int(json_t *object, const char *key, int64_t value)
{
    set(object, key, json_integer(value));
}

/* ---- trainer_state.json ---------------------------------------------------------------------- */

static void set_best(const Run *run, json_t *to)
{
    const bool any = run->state.best_step >= 0;
    char *path = checkpoint_path(run, run->state.best_step);
    set(to, "best_global_step", any ? json_integer(run->state.best_step) : NULL);
    set(to, "best_metric", any ? json_real(run->state.best) : NULL);
    set(to, "best_model_checkpoint",
        any && (file_is_folder(path) || run->state.best_step == run->state.version) ? json_string(path) : NULL);
    free(path);
}

bool output_state(const Run *run, const char *folder, const FileDigest *files, int count, Err *err)
{
    const TrainConfig *train = &run->config.train;
    json_t *to = json_object();
    set_best(run, to);
    set_real(to, "epoch", history_epoch(run));
    set_int(to, "eval_steps", train->eval_steps > 0 ? train->eval_steps : train->logging_steps);
    set_int(to, "global_step", run->state.version);
    set(to, "is_hyper_param_search", json_false());
    set(to, "is_local_process_zero", json_true());
    set(to, "is_world_process_zero", json_true());
    set(to, "log_history", json_incref(run->state.history));
    set_int(to, "logging_steps", train->logging_steps);
    set_int(to, "max_steps", run->total);
    set_int(to, "num_input_tokens_seen", run->state.tokens);
    set_int(to, "num_train_epochs", (int64_t)ceil(train->num_train_epochs));
    set_int(to, "save_steps", train->save_steps);
    set(to, "stateful_callbacks", json_object());
    set_real(to, "total_flos", 0);
    set_int(to, "train_batch_size", train->batch_size);
    set(to, "trial_name", NULL);
    set(to, "trial_params", NULL);
    char *path = path_join(folder, "trainer_state.json");
    const bool ok = json_write(path, to, err) && resume_write(run, to, folder, files, count, err);
    free(path);
    json_decref(to);
    return ok;
}

/* ---- tokenizer files ------------------------------------------------------------- */

enum { OWN = 3 }; /* the first names are inputs.c's and the card's, the others are copied from the model */
const char *const output_extra_names[] = { INPUTS_FILE,
                                           "loss.svg",
                                           "labels.json",
                                           "tokenizer.json",
                                           "tokenizer_config.json",
                                           "special_tokens_map.json",
                                           "vocab.txt",
                                           "vocab.json",
                                           "merges.txt",
                                           "added_tokens.json",
                                           "tokenizer.model",
                                           "chat_template.jinja",
                                           "preprocessor_config.json",
                                           NULL };

bool output_model_files(const Run *run, const char *folder, Err *err)
{
    bool ok = true;
    for (const char *const *name = output_extra_names + OWN; ok && *name; name++) {
        char *from = path_join(run->adapted.arch->folder, *name), *to = path_join(folder, *name);
        ok = !file_exists(from) || file_copy(from, to, err);
        free(from);
        free(to);
    }
    return ok;
}

bool output_extras(const Run *run, const char *folder, Err *err)
{
    const ModelArch *arch = run->adapted.arch;
    return output_model_files(run, folder, err) &&
           (!arch->head.task->embeds || sentence_write(folder, arch, run->config.data.max_length, err)) &&
           card_write(run, folder, err);
}

/* ---- summary.json ---------------------------------------------------------------------------- */

static void set_costs(const Run *run, json_t *to)
{
    const Costs *costs = &run->costs;
    set_int(to, "replicas", costs->clients);
    set_int(to, "ranks", costs->ranks);
    set_int(to, "wire_bytes_up", costs->up);
    set_int(to, "wire_bytes_down", costs->down);
    set_int(to, "shared_bytes_up", costs->placed_up);
    set_int(to, "shared_bytes_down", costs->placed_down);
    set_real(to, "wire_share", costs_share(run));
    set_int(to, "peak_rss_worker", costs->worker_bytes);
    set_int(to, "peak_rss_ps", costs->server_bytes);
    set_int(to, "peak_memory", costs->all_bytes);
}

static json_t *figures(double step_seconds, int64_t memory, double bytes)
{
    json_t *all = json_object();
    set_real(all, "step_seconds", step_seconds);
    set_int(all, "memory", memory);
    set_real(all, "bytes", bytes);
    return all;
}

/* What the workers expected of a step, and of their memory; beside it what it was. */
static void set_plan(const Run *run, json_t *to)
{
    const Costs *costs = &run->costs;
    const double steps = run->state.version > 0 ? (double)run->state.version : 1;
    set(to, "plan",
        costs->plan_step > 0 ? figures((double)costs->plan_step * 1e-9, costs->plan_memory, (double)costs->plan_bytes)
                             : NULL);
    set(to, "measured",
        figures(history_train_seconds(run) / steps, costs->worker_bytes,
                (double)(costs_up(costs) + costs_down(costs)) / steps));
}

/* What was trained, by the file that holds it; a model in shards has none. */
/* AdaLoRA: what is left of each module. */
static void set_ranks(const Run *run, json_t *to)
{
    const Allocator *a = &run->store.allocator;
    json_t *ranks = a->table ? json_object() : NULL;
    for (int m = 0; a->table && m < a->table->arch->module_count; m++)
        if (a->table->modules[m].e >= 0)
            set_int(ranks, a->table->arch->modules[m].path, allocator_rank(a, m));
    if (ranks)
        set(to, "ranks", ranks);
}

static bool set_file(const Run *run, json_t *to, Err *err)
{
    char *path = path_join(run->folder, slots_file(run->adapted.table));
    FileMap map = { 0 };
    const bool one = !run->adapted.table->whole || file_exists(path), ok = !one || file_map(&map, path, err);
    if (one && ok) {
        char hex[DIGEST_HEX];
        digest_sha256(hex, map.data, map.size);
        set(to, run->adapted.table->whole ? "model_sha256" : "adapter_sha256", json_string(hex));
        file_unmap(&map);
    }
    free(path);
    return ok;
}

bool output_summary(const Run *run, Err *err)
{
    const RunState *s = &run->state;
    const bool meta = run->config.meta.algorithm != META_NONE;
    const int64_t rows = meta ? config_episode_batches(&run->config) * run->config.train.batch_size : 1;
    const int64_t seen = steps_examples(s->version, run->facts.examples, config_step_size(&run->config));
    json_t *to = json_object();
    set_int(to, "steps", s->version);
    set_real(to, "epoch", history_epoch(run));
    set_real(to, "train_runtime", s->seconds);
    set_real(to, "train_loss", history_mean_loss(run));
    set_int(to, "skipped_steps", s->skipped);
    set_int(to, "tokens", s->tokens);
    set_real(to, "tokens_per_second", s->seconds > 0 ? (double)s->tokens / s->seconds : 0);
    set_real(to, "examples_per_second", s->seconds > 0 ? (double)(seen * rows) / s->seconds : 0);
    set_int(to, "micro_batches", run->M);
    set(to, "arithmetic", json_string(run->config.parallel.arithmetic));
    set(to, "fingerprint", json_string(run->config.parallel.fingerprint));
    set_int(to, "trainable_parameters", run->adapted.table->trainable);
    set_int(to, "all_parameters", arch_parameters(run->adapted.arch));
    set_costs(run, to);
    set_plan(run, to);
    set_ranks(run, to);
    set_best(run, to);
    set(to, "metric_for_best_model", json_string(run->config.train.metric_for_best_model));
    set(to, "stopped_early", json_boolean(s->stop_early));
    const json_t *evaluation = history_last_with(run, "eval_loss");
    set(to, "eval", evaluation ? json_deep_copy(evaluation) : NULL);
    char *path = path_join(run->folder, "summary.json");
    const bool ok = set_file(run, to, err) && json_write(path, to, err);
    free(path);
    json_decref(to);
    return ok;
}
