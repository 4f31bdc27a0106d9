/* A run that is in the folder goes on, perhaps longer or with other logging, evaluation and saving.
 *
 * DESIGN. Steps that were applied stay as they were: a log is replayed with the length that its head
 * says, whatever run.yaml says by now. Another length takes three changes, in this order: a checkpoint of
 * where the run is, a log that starts from it and says the new length, run.yaml. Whoever is killed between
 * two of them has the run at the same step, with the old length or the new one. */
#include "ps/going.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/config/run_facts.h"
#include "ps/advance.h"
#include "ps/best.h"
#include "ps/checkpoint.h"
#include "ps/history.h"
#include "ps/journal.h"
#include "ps/resume.h"
#include "ps/save.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Also where other rows are to be measured, which a run cannot take up on its way. */
static bool refuse_another(const Run *run, const char *keys, Err *err)
{
    err_set(err, ERR_INPUT, "another run is in this folder: %s", keys);
    if (text_starts(keys, "data.validation (") || strstr(keys, "; data.validation ("))
        err_hint(err,
                 "a run keeps its validation data; to measure on other rows: lora eval %s --data.validation=FILE. Else "
                 "choose another train.output_dir, or start anew with --overwrite",
                 run->folder);
    else
        err_hint(err,
                 "set them as they are there, choose another train.output_dir, or start anew with --overwrite; a run "
                 "may only change its length, logging, evaluations (but not their rows), generation and checkpoints");
    return err_at(err, "%s", run->folder);
}

/* The run that is in the folder must be this one; says what was changed, and takes over what it fixed. */
bool going_compare(Run *run, Err *err)
{
    char *path = path_join(run->folder, "run.yaml");
    Config there = { 0 };
    Text keys = { 0 };
    bool ok = config_load(&there, &(ConfigSources){ .file = path }, err);
    if (!ok && !file_exists(path))
        err_hint(err, "the run in this folder is known by it: put it back, choose another train.output_dir, or start "
                      "anew with --overwrite");
    if (ok && !config_same_run(&run->config, &there, COMPARE_FOLDER, &keys)) {
        ok = refuse_another(run, keys.data, err);
    } else if (ok && !config_same_run(&run->config, &there, COMPARE_GOING, &keys)) {
        log_info("run", "changed: %s", keys.data);
    }
    ok = ok && config_take_begun(&run->config, &there, err);
    config_release(&there);
    text_release(&keys);
    free(path);
    return ok;
}

/* ---- another length ---------------------------------------------------------------------------- */

static void tell_schedule(const Run *run, const Schedule *before)
{
    const Schedule *now = &run->schedule;
    const long long next = (long long)run->state.version + 1;
    const int64_t reduced = run->state.plateau.reduced;
    const double was = plateau_rate(before, schedule_rate(before, run->state.version), reduced),
                 is = plateau_rate(now, schedule_rate(now, run->state.version), reduced);
    const char *what = "the learning rate follows the schedule of the new length from here";
    if (now->kind == RATE_CONSTANT || schedule_is_measured(now->kind) ||
        (now->kind == RATE_CONSTANT_WITH_WARMUP && now->warmup == before->warmup))
        what = "the learning rate does not depend on the length";
    else if (now->kind == RATE_LINEAR)
        what = "the linear decay of the learning rate now ends there";
    else if (now->kind == RATE_COSINE)
        what = "the cosine of the learning rate now ends there";
    log_info(
        "run",
        "the run now ends at step %lld, not %lld: %s; step %lld has %g (it was %g there), the %lld steps before keep theirs",
        (long long)run->total, (long long)before->total, what, next, is, was, (long long)run->state.version);
}

static bool refuse_shorter(const Run *run, int64_t total, Err *err)
{
    err_set(err, ERR_INPUT, "the run in this folder has made %lld steps, and train.%s is %lld steps",
            (long long)run->state.version, run->config.train.max_steps > 0 ? "max_steps" : "num_train_epochs",
            (long long)total);
    err_hint(err, "set it to %lld steps or more, choose another train.output_dir, or start anew with --overwrite",
             (long long)run->state.version);
    return err_at(err, "%s", run->folder);
}

bool going_settle(Run *run, Err *err)
{
    const Schedule before = run->schedule;
    const int64_t total = advance_length(run);
    best_rank_again(run);
    if (total == run->total)
        return true;
    if (total < run->state.version)
        return refuse_shorter(run, total, err);
    advance_begin(run, &run->facts, run->M, total);
    tell_schedule(run, &before);
    return (run->saved == run->state.version || checkpoint_write(run, err)) && journal_start(run, err);
}

/* ---- a run that is complete -------------------------------------------------------------------- */

static bool refuse_without_checkpoint(const Run *run, Err *err)
{
    err_set(err, ERR_INPUT,
            "the run in this folder is complete, and the checkpoint of its last step, %lld, from which it "
            "would go on, is not there",
            (long long)run->state.version);
    err_hint(err,
             "begin a new run from its adapter: --lora.init_adapter=%s and another train.output_dir; "
             "train.save_strategy: no keeps no checkpoint to go on from",
             run->folder);
    return err_at(err, "%s", run->folder);
}

/* From the checkpoint of the last step, with a new log; the old results go last. */
static bool lengthen(Run *run, Err *err)
{
    const int64_t version = run->state.version;
    Err none = { 0 };
    char *wal = path_join(run->folder, "wal"), *summary = path_join(run->folder, "summary.json");
    bool ok = checkpoint_load_newest(run, &none) && run->saved == version;
    if (!ok) {
        run->state.version = version;
        refuse_without_checkpoint(run, err);
    }
    ok = ok && history_cut(run, err) && folder_make(wal, err) && going_settle(run, err) &&
         (run->wal.fd >= 0 || journal_start(run, err)) && save_settings(run, err);
    if (ok && unlink(summary) != 0) {
        ok = err_errno(err, "cannot remove");
        err_at(err, "%s", summary);
    }
    free(wal);
    free(summary);
    if (ok)
        log_info("run", "the run in this folder was complete, and goes on at step=%lld", (long long)version);
    return ok;
}

/* What its first worker had, and where it ended. */
static bool take_end(Run *run, const json_t *own, Err *err)
{
    HelloFacts facts;
    int64_t M, steps;
    if (!resume_identify(run, &M, &steps, own, err) || !resume_facts(&facts, own, err))
        return false;
    advance_begin(run, &facts, M, steps);
    if (resume_foreign(run, own)) {
        err_set(err, ERR_INPUT,
                "the run in this folder is complete, and its run.yaml or " RESUME_FILE " is not that of its end: %s",
                resume_foreign(run, own));
        return err_hint(err,
                        "put run.yaml back as it was, choose another train.output_dir, or start anew with --overwrite");
    }
    return resume_take_state(run, own, err);
}

/* lora_state.json of its end; NULL without an error: an earlier version of the program wrote none. */
static json_t *open_end(const Run *run, Err *err)
{
    char *path = path_join(run->folder, RESUME_FILE);
    json_t *own = file_exists(path) ? resume_open(run->folder, err) : NULL;
    free(path);
    return own;
}

static void tell_exchanged(const Run *run)
{
    char *exchanged = run_facts_exchanged(run->folder);
    if (exchanged)
        log_warn("adapter", "%s; --overwrite trains it again", exchanged);
    free(exchanged);
}

bool going_complete(Run *run, Err *err)
{
    json_t *own = open_end(run, err);
    if (!own && err->kind == ERR_NONE) {
        run->complete = true;
        log_info("run", "there is no " RESUME_FILE
                        " in its folder (an earlier version of this program wrote none): it cannot be made longer");
        return true;
    }
    bool ok = own && take_end(run, own, err);
    json_decref(own);
    if (!ok)
        return false;
    const int64_t total = advance_length(run);
    const bool stopped = run->state.stop_early;
    const int64_t patience = run->config.train.early_stopping_patience;
    run->state.stop_early = patience > 0 && run->state.worse >= patience;
    if (total < run->state.version)
        return refuse_shorter(run, total, err);
    run->complete = run->state.version == total || run->state.stop_early;
    if (!run->complete)
        return lengthen(run, err);
    if (stopped && total > run->state.version)
        log_info("run",
                 "it stopped early at step %lld of %lld: evaluations had not become better; a larger "
                 "train.early_stopping_patience than %lld goes on",
                 (long long)run->state.version, (long long)total, (long long)run->state.worse);
    tell_exchanged(run);
    return !store_is_plain(&run->store) ||
           slots_read(run->store.value, run->adapted.table, run->folder, err); /* is it whole? */
}
