/* DESIGN
 *
 * What is on disk of a run that is not complete: run.yaml, wal/log, and perhaps checkpoints. The
 * log starts from its base version (0, or a checkpoint's) and holds every step since. A crash
 * between writing a checkpoint and starting the log anew leaves a log that also has older steps:
 * they are skipped. summary.json without a log is a run that is complete.
 *
 * Whose a file is, it says itself: the log's head has the run's id and the digest of its
 * configuration, a checkpoint the id and the plan. So what another run left behind is never gone on
 * from, however it came there. */
#include "ps/run.h"

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "ps/run_world.h"
#include "ps/tell.h"

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

bool run_write_text(Run *run, Err *err)
{
    Text text = { 0 };
    config_print(&run->config, &text);
    char *path = inside(run, "run.yaml");
    const bool ok = file_write(path, text.data, text.size, err);
    free(path);
    free(run->text);
    run->text = text_take(&text);
    return ok;
}

/* ---- log ------------------------------------------------------------------------------------- */

void run_record(Run *run, WalType type, const WalPart *parts, int count, bool sync)
{
    Err err = { 0 };
    if (run->wal.fd < 0 || run->wal.broken)
        return; /* said when it broke; the next checkpoint starts it anew */
    if (!wal_append(&run->wal, type, parts, count, &err) || (sync && !wal_sync(&run->wal, &err)))
        log_error("save", "steps are not durable until the next checkpoint: %s (%s)", err.what, err.where);
}

bool run_start_log(Run *run, Err *err)
{
    const WalHead head = { run->id, config_digest(&run->config, false), run->initial, run->state.version };
    const WalBegin begin = { run->facts, run->M, run->total };
    const WalType types[] = { WAL_HEADER, WAL_BEGIN };
    const WalPart parts[] = { { &head, sizeof head }, { &begin, sizeof begin } };
    char *path = inside(run, "wal/log");
    const bool ok = wal_start(&run->wal, path, types, parts, run->begun ? 2 : 1, err);
    free(path);
    if (ok)
        run->base = head.base;
    return ok;
}

static bool replay_step(Run *run, const void *payload, size_t size, Err *err)
{
    const size_t gradient = (size_t)run->table->size * sizeof(float);
    WalStep step;
    if (size != sizeof step + gradient || !run->begun)
        return err_set(err, ERR_IO, "the write-ahead log holds a step of another run");
    memcpy(&step, payload, sizeof step);
    if (step.step < run->state.version || run->base > run->state.version)
        return true; /* the checkpoint has it; or the log goes on from a newer one, which is not there */
    if (step.step != run->state.version)
        return err_set(err, ERR_IO,
                       "the write-ahead log goes on at step %lld, the newest checkpoint "
                       "is step %lld",
                       (long long)step.step, (long long)run->state.version);
    float *copy = mem_alloc(gradient, err); /* the mapping need not be aligned */
    if (!copy)
        return false;
    memcpy(copy, (const char *)payload + sizeof step, gradient);
    run_apply_step(run, &step, copy);
    free(copy);
    return true;
}

static bool replay_evaluation(Run *run, const void *payload, size_t size, Err *err)
{
    json_t *entry = json_bytes(payload, size, "evaluation", err);
    if (!entry)
        return false;
    const int64_t step = json_get_int(entry, "step", -1, err);
    if (step == run->state.version && step > run->state.evaluated)
        run_take_evaluation(run, entry);
    else
        json_decref(entry);
    return true;
}

static bool replay_head(Run *run, const WalHead *head, Err *err)
{
    run->base = head->base;
    if (head->base > run->state.version && run->saved < 0)
        return err_set(err, ERR_IO, "checkpoint-%lld, which the log starts from, is gone", (long long)head->base);
    if (run->saved < 0 && head->initial != run->initial)
        return err_set(err, ERR_INPUT,
                       "the first values of the adapter are not those that this run "
                       "started from: was lora.init_adapter or the model changed?");
    run->initial = head->initial;
    return true;
}

static bool replay(void *self, WalType type, const void *payload, size_t size, Err *err)
{
    Run *run = self;
    WalHead head;
    if (type == WAL_STEP)
        return replay_step(run, payload, size, err);
    if (type == WAL_EVAL)
        return replay_evaluation(run, payload, size, err);
    if (type == WAL_BEGIN) /* identify took it */
        return true;
    if (type != WAL_HEADER || size != sizeof head)
        return err_set(err, ERR_IO, "the write-ahead log holds a record of an unknown kind");
    memcpy(&head, payload, sizeof head);
    return replay_head(run, &head, err);
}

/* The first record: is the log this program's, and of this configuration? Then its run is ours. */
static bool identify_head(Run *run, WalType type, const void *payload, size_t size, Err *err)
{
    WalHead head;
    if (type != WAL_HEADER || size != sizeof head) {
        err_set(err, ERR_INPUT, "the write-ahead log was written by another version of this program");
        return err_hint(err, "finish the run with the version that began it, choose another train.output_dir, or start "
                             "anew with --overwrite");
    }
    memcpy(&head, payload, sizeof head);
    if (head.configuration != config_digest(&run->config, false)) {
        err_set(err, ERR_INPUT, "the run in this folder began with another configuration than its run.yaml now says");
        return err_hint(err,
                        "put run.yaml back as it was, choose another train.output_dir, or start anew with --overwrite");
    }
    run->id = head.id;
    return true;
}

/* The second one, once a worker has joined. */
static bool identify_begin(Run *run, const WalBegin *begin, Err *err)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)begin->M);
    if (run->config.parallel.micro_batches > 0 && run->config.parallel.micro_batches != begin->M) {
        err_set(err, ERR_INPUT, "the run in this folder has %s micro-batches a step, not %lld", number,
                (long long)run->config.parallel.micro_batches);
        err_hint(err, "set parallel.micro_batches: %s, or start anew with --overwrite", number);
        return false;
    }
    run_take_facts(run, &begin->facts, begin->M, begin->total);
    return config_set(&run->config, "parallel.micro_batches", number, err);
}

static bool identify(void *self, WalType type, const void *payload, size_t size, Err *err)
{
    Run *run = self;
    WalBegin begin;
    if (type != WAL_BEGIN || size != sizeof begin)
        return identify_head(run, type, payload, size, err);
    memcpy(&begin, payload, sizeof begin);
    return identify_begin(run, &begin, err);
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

/* What a run of ours writes; nothing else in the folder is touched. Until the log goes, what is left
 * is still the old run, complete or at an earlier point; without it, only what no run goes on from. */
static bool remove_run(Run *run, Err *err)
{
    static const char *const results[] = { "summary.json",       "adapter_config.json", "adapter_model.safetensors",
                                           "trainer_state.json", RESUME_FILE,           NULL };
    static const char *const rest[] = { "metrics.jsonl", "run.yaml", NULL };
    char *wal = inside(run, "wal");
    const bool ok = checkpoint_remove_all(run, err) && remove_names(run, results, err) &&
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

/* Bytes of the largest record of a log. */
static size_t most_record(const Run *run)
{
    return sizeof(WalStep) + (size_t)run->table->size * sizeof(float) + 65536;
}

static bool recover(Run *run, Err *err)
{
    char *path = inside(run, "wal/log");
    bool ok = wal_peek(path, 2, most_record(run), identify, run, err) && load_checkpoint(run, err) &&
              output_cut_metrics(run, err);
    run->replaying = true;
    ok = ok && wal_open(&run->wal, path, most_record(run), replay, run, err);
    run->replaying = false;
    if (ok && run->base > run->state.version) { /* its steps are computed again */
        log_warn("run", "the log goes on from checkpoint-%lld: it is begun anew, and its steps are computed again",
                 (long long)run->base);
        ok = run_start_log(run, err);
    }
    free(path);
    if (ok)
        log_info("run", "goes on at step=%lld checkpoint=%lld", (long long)run->state.version, (long long)run->saved);
    return ok;
}

/* A log that holds its header alone is of a run that no worker ever joined: its configuration
 * binds nobody. */
static bool log_has_begun(const Run *run)
{
    char *path = inside(run, "wal/log");
    const bool begun = file_size(path) > wal_record_size(sizeof(WalHead));
    free(path);
    return begun;
}

/* Workers may wait for a run that has not begun: with the same configuration it is the same one. */
static void keep_identity(Run *run)
{
    Err other = { 0 };
    char *path = inside(run, "wal/log");
    if (file_exists(path) && wal_peek(path, 1, most_record(run), identify, run, &other))
        log_info("run", "nobody has joined it yet, it is begun anew");
    free(path);
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
    keep_identity(run);
    const bool ok = run_write_text(run, err) && output_cut_metrics(run, err) && folder_make(wal, err) &&
                    run_start_log(run, err) && folder_sync(run->folder, err);
    free(wal);
    return ok;
}

static bool open_folder(Run *run, bool overwrite, Err *err)
{
    run->made_folder = !file_is_folder(run->folder);
    if (!folder_make(run->folder, err) || !lock(run, err) || (overwrite && !remove_run(run, err)))
        return false;
    const bool continued = holds(run, "wal/log") && log_has_begun(run);
    if (!continued && !holds(run, "summary.json"))
        return begin_anew(run, err);
    return going_compare(run, err) && run_reopen_model(run, err) &&
           (continued ? recover(run, err) && going_settle(run, err) && run_write_text(run, err)
                      : going_complete(run, err));
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
    if (config_check_training(&run->config, err)) {
        run->folder = xstrdup(run->config.train.output_dir);
        if (run_open_model(run, err) && open_folder(run, overwrite, err))
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
    progress_end();
    wal_close(&run->wal);
    if (run->fresh && !run->begun)
        take_back(run);
    store_release(&run->store);
    slots_close(run->table);
    arch_close(run->arch);
    json_decref(run->state.history);
    free(run->verdict);
    free(run->folder);
    free(run->text);
    if (run->lock >= 0)
        close(run->lock);
    config_release(&run->config);
    free(run);
}

/* ---- saving, ending -------------------------------------------------------------------------- */

bool run_checkpoint_now(Run *run, Err *err)
{
    if (run->complete || !run->begun || (run->saved == run->state.version && !run->wal.broken))
        return wal_sync(&run->wal, err);
    if ((!run->wal.broken && !wal_sync(&run->wal, err)) || !checkpoint_write(run, err))
        return false;
    return run_start_log(run, err); /* on failure the old log still holds all that the new one would */
}

/* Trainer's last entry of log_history. */
static void log_end(Run *run)
{
    const RunState *s = &run->state;
    const double seconds = s->seconds > 0 ? s->seconds : 1e-9;
    const double examples = run->config.train.num_train_epochs * (double)run->facts.examples;
    json_t *entry = json_pack(
        "{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "step", (json_int_t)s->version, "epoch", output_epoch(run), "total_flos",
        0.0, "train_loss", s->version > 0 ? s->loss_total / (double)s->version : 0.0, "train_runtime", s->seconds,
        "train_samples_per_second",
        (run->config.train.max_steps > 0 ? (double)run->total * (double)run->config.train.batch_size : examples) /
            seconds,
        "train_steps_per_second", (double)run->total / seconds);
    REQUIRE(entry);
    json_array_append_new(run->state.history, entry);
}

bool run_finish(Run *run, Err *err)
{
    progress_end();
    if (run->complete)
        return true;
    best_load(run);
    log_end(run);
    char *wal = inside(run, "wal");
    bool ok = slots_write_adapter(run->folder, run->store.value, run->table, run->arch, &run->config.lora,
                                  run->config.model, err) &&
              output_extras(run, run->folder, err) && output_state(run, run->folder, NULL, 0, err) &&
              output_summary(run, err);
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
    return run->table->size;
}

void run_traffic(Run *run, int64_t bytes_up, int64_t bytes_down, int64_t clients, int64_t ranks, int64_t worker_bytes)
{
    run->traffic = (Traffic){ bytes_up, bytes_down, clients, ranks, worker_bytes };
}

char *run_status(const Run *run, int64_t clients, int64_t ranks)
{
    const RunState *s = &run->state;
    const size_t entries = json_array_size(s->history);
    json_t *last = entries > 0 ? json_array_get(s->history, entries - 1) : NULL;
    json_t *status =
        json_pack("{s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:b, s:s, s:O?}", "step", (json_int_t)s->version,
                  "total_steps", (json_int_t)run->total, "epoch", output_epoch(run), "clients", (json_int_t)clients,
                  "ranks", (json_int_t)ranks, "micro_batches", (json_int_t)run->M, "tokens", (json_int_t)s->tokens,
                  "seconds", s->seconds, "complete", (int)run->complete, "output_dir", run->folder, "last", last);
    REQUIRE(status);
    const json_t *loss = json_object_get(last, "loss");
    json_object_set(status, "loss", loss ? (json_t *)(uintptr_t)loss : json_null());
    char *text = json_dumps(status, JSON_COMPACT);
    json_decref(status);
    return text;
}
