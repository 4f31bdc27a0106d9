/* DESIGN
 *
 * What is on disk of a run that is not complete: run.yaml, wal/log, and perhaps checkpoints. The
 * log starts from its base version (0, a checkpoint's, or where it was cut: then it begins with the
 * state of that version) and holds every step since. A crash
 * between writing a checkpoint and starting the log anew leaves a log that also has older steps:
 * they are skipped. summary.json without a log is a run that is complete.
 *
 * Whose a file is, it says itself: the log's head has the run's id and the digest of its
 * configuration, a checkpoint the id and the plan. So what another run left behind is never gone on
 * from, however it came there. */
#include "ps/run.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/config/config_meta.h"
#include "common/config/run_folder.h"
#include "common/slots/init_adapter.h"
#include "ps/best.h"
#include "ps/card.h"
#include "ps/checkpoint.h"
#include "ps/checkpoint_files.h"
#include "ps/costs.h"
#include "ps/going.h"
#include "ps/history.h"
#include "ps/journal.h"
#include "ps/output.h"
#include "ps/resume.h"
#include "ps/run_model.h"
#include "ps/save.h"
#include "ps/task_folders.h"
#include "ps/tell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static char *inside(const Run *run, const char *name)
{
    return path_join(run->folder, name);
}

static bool holds(const Run *run, const char *name)
{
    char *path = inside(run, name);
    const bool is = file_exists(path);
    free(path);
    return is;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool lock(Run *run, Err *err)
{
    run->lock = open(run->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run->lock < 0) {
        err_errno(err, "cannot open");
        return err_at(err, "%s", run->folder);
    }
    const double patience = 3; /* a server that was interrupted may still write its checkpoint */
    for (const double until = clock_now() + patience; clock_now() < until; clock_sleep(0.05))
        if (flock(run->lock, LOCK_EX | LOCK_NB) == 0)
            return true;
    err_set(err, ERR_INPUT, "another parameter server writes into this folder");
    err_hint(err, "wait for it, end it, or choose another train.output_dir");
    return err_at(err, "%s", run->folder);
}

static bool remove_names(const Run *run, const char *const *names, Err *err)
{
    bool ok = true;
    for (; ok && *names; names++) {
        char *path = inside(run, *names);
        if (file_exists(path) && unlink(path) != 0) {
            ok = err_errno(err, "cannot remove");
            err_at(err, "%s", path);
        }
        free(path);
    }
    return ok;
}

/* Weights of a model in shards. */
static bool remove_shards(const Run *run, Err *err)
{
    size_t count = 0;
    char **names = folder_list(run->folder, &count, err);
    bool ok = names != NULL;
    for (size_t i = 0; i < count; i++) {
        const char *const one[] = { names[i], NULL };
        ok = ok &&
             (!text_starts(names[i], "model-") || !text_ends(names[i], ".safetensors") || remove_names(run, one, err));
        free(names[i]);
    }
    free(names);
    return ok;
}

/* What the run's end wrote besides, for people and for other tools. Only where there is a run.yaml, which says that
 * they are a run's: in a folder of the user's own they may be his; and a model keeps its tokenizer. */
static bool remove_extras(const Run *run, Err *err)
{
    char *model = path_absolute(run->adapted.arch->folder), *folder = path_absolute(run->folder);
    const bool ours = holds(run, "run.yaml") && strcmp(model, folder) != 0;
    free(model);
    free(folder);
    static const char *const card[] = { "README.md", NULL };
    char *events = inside(run, "tensorboard");
    const bool gone = !ours || !file_is_folder(events) || folder_remove(events, err);
    free(events);
    static const char *const whole[] = { "config.json", "generation_config.json", "model.safetensors",
                                         "model.safetensors.index.json", NULL };
    return !ours || (gone && remove_names(run, output_extra_names, err) && remove_names(run, whole, err) &&
                     remove_shards(run, err) && (!card_is_own(run->folder) || remove_names(run, card, err)));
}

/* What a run of ours writes; nothing else in the folder is touched. Until the log goes, what is left
 * is still the old run, complete or at an earlier point; without it, only what no run goes on from. */
static bool remove_run(Run *run, Err *err)
{
    static const char *const results[] = { "summary.json",       "adapter_config.json", "adapter_model.safetensors",
                                           "trainer_state.json", RESUME_FILE,           NULL };
    static const char *const rest[] = { "metrics.jsonl", "run.yaml", NULL };
    char *wal = inside(run, "wal");
    const bool ok = checkpoint_remove_all(run, err) && remove_names(run, results, err) && remove_extras(run, err) &&
                    folder_sync(run->folder, err) && (!file_is_folder(wal) || folder_remove(wal, err)) &&
                    remove_names(run, rest, err);
    free(wal);
    return ok;
}

static bool load_checkpoint(Run *run, Err *err)
{
    if (checkpoint_load_newest(run, err))
        return true;
    if (err->kind != ERR_MEMORY)
        err_hint(err, "put a whole checkpoint there, or start anew with --overwrite");
    return false;
}

static bool recover(Run *run, Err *err)
{
    const bool ok = journal_identify(run, err) && load_checkpoint(run, err) && journal_take_state(run, err) &&
                    history_cut(run, err) && journal_replay(run, err);
    costs_take(run);
    if (ok)
        log_info("run", "goes on at step=%lld checkpoint=%lld", (long long)run->state.version, (long long)run->saved);
    return ok;
}

/* Checkpoints whose log is gone: of which run, and whether they are its last ones, nobody knows. */
static bool has_no_orphans(const Run *run, Err *err)
{
    char *path = checkpoint_any(run);
    if (!path)
        return true;
    err_set(err, ERR_INPUT, "there are checkpoints in this folder, but no log (wal/log) of the run that wrote them");
    err_hint(err, "choose another train.output_dir, move them away, or remove them with --overwrite; "
                  "lora.init_adapter starts a new run from the values of one");
    err_at(err, "%s", path);
    free(path);
    return false;
}

static bool begin_anew(Run *run, Err *err)
{
    if (!has_no_orphans(run, err))
        return false;
    char *wal = inside(run, "wal");
    run->fresh = true;
    if (journal_take_id(run))
        log_info("run", "nobody has joined it yet, it is begun anew");
    const bool ok = save_settings(run, err) && history_cut(run, err) && folder_make(wal, err) &&
                    journal_start(run, err) && folder_sync(run->folder, err);
    free(wal);
    return ok;
}

/* The adapter to begin with must not be in the folder that is emptied: of a run that is broken off before its first
 * checkpoint nothing would be left, neither the old adapter nor a run that could go on. */
static bool keeps_beginning(const Run *run, Err *err)
{
    const char *adapter = run->config.lora.init_adapter;
    char room[512], *folder = adapter ? realpath(run->folder, NULL) : NULL,
                    *at = adapter ? realpath(adapter, NULL) : NULL;
    const size_t size = folder ? strlen(folder) : 0;
    const bool within =
        folder && at && strncmp(at, folder, size) == 0 && (at[size] == '\0' || text_starts(at + size, "/checkpoint-"));
    free(folder);
    free(at);
    if (!within)
        return true;
    err_set(err, ERR_INPUT, "--overwrite would remove the adapter that the run begins with");
    err_hint(err, "choose another train.output_dir, or copy the adapter to another folder");
    return err_at(err, "%s", config_where(&run->config, "lora.init_adapter", room, sizeof room));
}

/* A model that is trained whole is written under the names of the one that it begins with. */
static bool keeps_base(const Run *run, Err *err)
{
    char room[512], *folder = realpath(run->folder, NULL), *base = realpath(run->adapted.arch->folder, NULL);
    const bool same = run->adapted.table->whole && folder && base && strcmp(folder, base) == 0;
    free(folder);
    free(base);
    if (!same)
        return true;
    err_set(err, ERR_INPUT, "the trained model would be written over the one that it begins with");
    err_hint(err, "choose another train.output_dir");
    return err_at(err, "%s", config_where(&run->config, "train.output_dir", room, sizeof room));
}

static bool open_folder(Run *run, bool overwrite, Err *err)
{
    run->made_folder = !file_is_folder(run->folder);
    if (!folder_make(run->folder, err) || !keeps_base(run, err) || !lock(run, err) ||
        (overwrite && (!keeps_beginning(run, err) || !remove_run(run, err))))
        return false;
    const bool continued = holds(run, "wal/log") && journal_has_begun(run);
    if (!continued && !holds(run, "summary.json"))
        return begin_anew(run, err);
    return going_compare(run, err) && run_model_reopen(run, err) &&
           (continued ? recover(run, err) && going_settle(run, err) && save_settings(run, err)
                      : going_complete(run, err));
}

/* lora.init_adapter: its settings, where the run file has none. */
static bool begin_with(Run *run, Err *err)
{
    Text taken = { 0 };
    const bool ok = init_adapter_take(&run->config, &taken, err);
    if (ok && taken.size > 0)
        log_info("run", "as lora.init_adapter has them: %s", taken.data);
    text_release(&taken);
    return ok;
}

Run *run_open(Config *config, bool overwrite, Err *err)
{
    Run *run = xcalloc(1, sizeof *run);
    run->config = *config;
    memset(config, 0, sizeof *config);
    run->lock = -1;
    run->saved = run->tried = -1;
    run->rank_again = true; /* unless a checkpoint says that it was done */
    run->wal = WAL_CLOSED;
    run->id = rng_entropy();
    run->state = (RunState){ .evaluated = -1, .best_step = -1, .history = json_array() };
    if (config_check_training(&run->config, err) && begin_with(run, err)) {
        run->folder = xstrdup(run->config.train.output_dir);
        if (run_model_open(run, err) && open_folder(run, overwrite, err))
            return run;
    }
    run_close(run);
    return NULL;
}

/* A run that never began leaves nothing behind. */
static void take_back(Run *run)
{
    char *wal = inside(run, "wal"), *text = inside(run, "run.yaml"), *metrics = inside(run, "metrics.jsonl");
    Err err = { 0 };
    if (!folder_remove(wal, &err))
        log_warn("run", "the empty log stays: %s path=%s", err.what, wal);
    unlink(text);
    unlink(metrics);
    if (run->made_folder)
        rmdir(run->folder); /* unless somebody put something into it */
    free(wal);
    free(text);
    free(metrics);
}

void run_close(Run *run)
{
    if (!run)
        return;
    progress_end(&run->progress);
    costs_keep(run);
    wal_close(&run->wal);
    if (run->fresh && !run->begun)
        take_back(run);
    store_release(&run->store);
    adapted_release(&run->adapted);
    json_decref(run->state.history);
    ledger_release(&run->state.ledger);
    free(run->verdict);
    free(run->events_path);
    free(run->folder);
    free(run->text);
    if (run->lock >= 0)
        close(run->lock);
    config_release(&run->config);
    free(run);
}

/* ---- saving, ending -------------------------------------------------------------------------- */

/* Trainer's last entry of log_history. */
static void log_end(Run *run)
{
    const RunState *s = &run->state;
    const double seconds = s->seconds > 0 ? s->seconds : 1e-9;
    const double examples = run->config.train.num_train_epochs * (double)run->facts.examples,
                 all = (double)run->total * (double)config_step_size(&run->config);
    json_t *entry =
        json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "step", (json_int_t)s->version, "epoch", history_epoch(run),
                  "total_flos", 0.0, "train_loss", history_mean_loss(run), "train_runtime", s->seconds,
                  "train_samples_per_second", (run->config.train.max_steps > 0 ? all : examples) / seconds,
                  "train_steps_per_second", (double)run->total / seconds);
    REQUIRE(entry);
    json_array_append_new(run->state.history, entry);
}

bool run_finish(Run *run, Err *err)
{
    progress_end(&run->progress);
    if (run->complete)
        return true;
    best_load(run);
    log_end(run);
    char *wal = inside(run, "wal");
    const AdapterForm form = store_form(&run->store, run->total);
    bool ok = slots_write(run->folder, &form, run->adapted.table, &run->config.lora, run->config.model, false, err) &&
              task_folders_write(run, &form, run->folder, err) && output_extras(run, run->folder, err) &&
              output_state(run, run->folder, NULL, 0, err);
    costs_look(&run->costs, 0);
    ok = ok && output_summary(run, err);
    if (ok) {
        wal_close(&run->wal);
        ok = folder_remove(wal, err) && folder_sync(run->folder, err);
        run->complete = ok;
    }
    free(wal);
    if (ok)
        tell_end(run);
    return ok;
}

/* ---- questions ------------------------------------------------------------------------------- */

uint64_t run_id(const Run *run)
{
    return run->id;
}

bool run_is_begun(const Run *run)
{
    return run->begun;
}

bool run_is_complete(const Run *run)
{
    return run->complete;
}

int64_t run_version(const Run *run)
{
    return run->state.version;
}

int64_t run_slot_size(const Run *run)
{
    return run->adapted.table->size;
}

const SharedMemory *run_shared_values(const Run *run)
{
    return &run->store.shared;
}

char *run_metrics_path(const Run *run)
{
    return inside(run, "metrics.jsonl");
}

void run_note_address(const Run *run, const char *endpoint)
{
    char host[256] = "", *path = inside(run, RUN_FOLDER_ADDRESS);
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    FILE *file = fopen(path, "we");
    const bool ok = file && fprintf(file, "%s %s\n", endpoint, host) > 0;
    if (!file || fclose(file) != 0 || !ok)
        log_warn("run", "cannot note where the server listens: %s path=%s", strerror(errno), path);
    free(path);
}

void run_drain(Run *run)
{
    run->draining = true;
}

bool run_is_draining(const Run *run)
{
    return run->draining;
}

void run_show_evaluation(Run *run, int64_t done, int64_t pieces)
{
    progress_evaluation(&run->progress, run->state.version, done, pieces);
}
