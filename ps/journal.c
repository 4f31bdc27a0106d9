/* DESIGN
 *
 * The log starts from its base version (0, a checkpoint's, or that of the state behind its head): a head, what the run
 * began with once a worker has joined, the state where the log was cut, then steps and evaluations as they come. What is in a record is laid out as the compiler does it: another
 * layout is another WAL_VERSION. */
#include "ps/journal.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/log_state.h"

#include <stdlib.h>
#include <string.h>

enum { FRONT = 2 }; /* records before a state: WAL_HEADER, WAL_BEGIN */

typedef struct JournalHead {
    uint64_t id;
    uint64_t configuration; /* config_digest */
    uint64_t initial; /* XXH3 of the first values */
    int64_t base; /* version that the log starts from */
    int64_t state; /* records of the state behind WAL_BEGIN; 0: there is a checkpoint of the base, or it is 0 */
} JournalHead;

typedef struct Begin {
    HelloFacts facts;
    int64_t M, total; /* steps of the run, when this log was started */
} Begin;

_Static_assert(WAL_VERSION == 8 && sizeof(JournalHead) == 40 && sizeof(Begin) == 256 && sizeof(StepMade) == 64,
               "other records are another WAL_VERSION");

/* ---- writing --------------------------------------------------------------------------------- */

/* Appends to the log where it still can; a failure is said, and the run goes on without. */
static void record(Run *run, WalType type, const WalPart *parts, int count, bool sync)
{
    Err err = { 0 };
    if (run->wal.fd < 0 || run->wal.broken)
        return; /* said when it broke; the next checkpoint starts it anew */
    if (!wal_append(&run->wal, type, parts, count, &err) || (sync && !wal_sync(&run->wal, &err)))
        log_error("save", "steps are not durable until the next checkpoint: %s (%s)", err.what, err.where);
}

void journal_begin(Run *run)
{
    const Begin begin = { run->facts, run->M, run->total };
    record(run, WAL_BEGIN, &(WalPart){ &begin, sizeof begin }, 1, true);
}

/* Where every weight is trained a gradient is as large as the model, and a log of them would soon be larger than the
 * disk: what is durable then are the checkpoints, and steps behind the newest one are computed again. */
void journal_step(Run *run, const StepMade *step, const float *gradient)
{
    if (run->adapted.table->whole)
        return;
    const WalPart parts[] = { { step, sizeof *step },
                              { gradient, (size_t)run->adapted.table->size * sizeof *gradient } };
    record(run, WAL_STEP, parts, 2, (step->step + 1) % run->config.ps.durable_every == 0);
}

void journal_evaluation(Run *run, const json_t *entry)
{
    char *text = json_dumps(entry, JSON_COMPACT);
    record(run, WAL_EVAL, &(WalPart){ text, strlen(text) }, 1, true);
    free(text);
}

static bool start(Run *run, bool with_state, Err *err)
{
    const JournalHead head = { run->id, config_digest(&run->config, false), run->initial, run->state.version,
                               with_state ? log_state_count(run) : 0 };
    const Begin begin = { run->facts, run->M, run->total };
    WalType types[FRONT + LOG_STATE_RECORDS] = { WAL_HEADER, WAL_BEGIN };
    WalPart parts[FRONT + LOG_STATE_RECORDS] = { { &head, sizeof head }, { &begin, sizeof begin } };
    char *path = path_join(run->folder, "wal/log"), *counts = NULL;
    int count = run->begun ? FRONT : 1;
    if (with_state)
        count += log_state_make(types + count, parts + count, &counts, run);
    const bool ok = wal_start(&run->wal, path, types, parts, count, err);
    free(counts);
    free(path);
    if (ok)
        run->base = run->cut_tried = head.base;
    return ok;
}

bool journal_start(Run *run, Err *err)
{
    return start(run, false, err);
}

bool journal_cut(Run *run, Err *err)
{
    REQUIRE(run->begun);
    run->cut_tried = run->state.version;
    return start(run, true, err);
}

/* Steps that a log holds: a cut writes the state, of 3 gradients or a little more, so that it is to be worth it. */
static int64_t most_steps(const Run *run)
{
    const int64_t bytes = 256 << 20, least = 16, fit = bytes / (int64_t)journal_most_record(run);
    const int64_t asked = run->config.ps.log_steps;
    return asked > 0 ? asked : fit > least ? fit : least;
}

bool journal_is_long(const Run *run)
{
    const int64_t most = most_steps(run), since = run->state.version - run->cut_tried;
    return run->begun && run->wal.fd >= 0 && !run->wal.broken && !run->adapted.table->whole &&
           run->state.version - run->base >= most && (run->cut_tried == run->base || since > most / 4);
}

/* ---- whose it is ----------------------------------------------------------------------------- */

/* Beside what a step holds, room for the other kinds. */
size_t journal_most_record(const Run *run)
{
    return sizeof(StepMade) + (size_t)run->adapted.table->size * sizeof(float) + 65536;
}

/* The first record: is the log of this configuration? Then its run is ours. */
static bool identify_head(Run *run, WalType type, const void *payload, size_t size, Err *err)
{
    JournalHead head;
    if (type != WAL_HEADER || size != sizeof head)
        return err_set(err, ERR_IO, "the write-ahead log does not begin with what a run's log begins with");
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
static bool identify_begin(Run *run, const Begin *begin, Err *err)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)begin->M);
    if (run->config.parallel.micro_batches > 0 && run->config.parallel.micro_batches != begin->M) {
        err_set(err, ERR_INPUT, "the run in this folder has %s micro-batches a step, not %lld", number,
                (long long)run->config.parallel.micro_batches);
        err_hint(err, "set parallel.micro_batches: %s, or start anew with --overwrite", number);
        return false;
    }
    advance_begin(run, &begin->facts, begin->M, begin->total);
    return config_set(&run->config, "parallel.micro_batches", number, err);
}

static bool identify(void *self, WalType type, const void *payload, size_t size, Err *err)
{
    Run *run = self;
    Begin begin;
    if (type != WAL_BEGIN || size != sizeof begin)
        return identify_head(run, type, payload, size, err);
    memcpy(&begin, payload, sizeof begin);
    return identify_begin(run, &begin, err);
}

bool journal_identify(Run *run, Err *err)
{
    char *path = path_join(run->folder, "wal/log");
    const bool ok = wal_peek(path, 2, journal_most_record(run), identify, run, err);
    free(path);
    return ok;
}

bool journal_take_id(Run *run)
{
    Err other = { 0 };
    char *path = path_join(run->folder, "wal/log");
    const bool ok = file_exists(path) && wal_peek(path, 1, journal_most_record(run), identify, run, &other);
    free(path);
    return ok;
}

bool journal_has_begun(const Run *run)
{
    char *path = path_join(run->folder, "wal/log");
    const bool begun = file_size(path) > wal_record_size(sizeof(JournalHead));
    free(path);
    return begun;
}

/* ---- replaying ------------------------------------------------------------------------------- */

static bool replay_step(Run *run, const void *payload, size_t size, Err *err)
{
    const size_t gradient = (size_t)run->adapted.table->size * sizeof(float);
    StepMade step;
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
    if (!ledger_wants(&run->state.ledger, step.batch))
        return err_set(err, ERR_IO, "the write-ahead log has step %lld twice", (long long)step.batch + 1);
    float *copy = mem_alloc(gradient, err); /* the mapping need not be aligned */
    if (!copy)
        return false;
    memcpy(copy, (const char *)payload + sizeof step, gradient);
    advance_step(run, &step, copy);
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
        advance_evaluation(run, entry);
    else
        json_decref(entry);
    return true;
}

static bool replay_head(Run *run, const JournalHead *head, Err *err)
{
    run->base = run->cut_tried = head->base;
    if (head->base > run->state.version && run->saved < 0 && head->state > 0)
        return err_set(err, ERR_IO, "the state of step %lld, which the log starts from, is not whole",
                       (long long)head->base);
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
    JournalHead head;
    if (type == WAL_STEP)
        return replay_step(run, payload, size, err);
    if (type == WAL_EVAL)
        return replay_evaluation(run, payload, size, err);
    if (type == WAL_BEGIN || type == WAL_STATE || type == WAL_FLOATS) /* identify took it, journal_take_state */
        return true;
    if (type != WAL_HEADER || size != sizeof head)
        return err_set(err, ERR_IO, "the write-ahead log holds a record that this program did not write");
    memcpy(&head, payload, sizeof head);
    return replay_head(run, &head, err);
}

int64_t journal_state_records(WalType type, const void *payload, size_t size)
{
    JournalHead head = { 0 };
    if (type == WAL_HEADER && size == sizeof head)
        memcpy(&head, payload, sizeof head);
    return head.state;
}

static bool count_state(void *self, WalType type, const void *payload, size_t size, Err *err)
{
    (void)err;
    *(int64_t *)self = journal_state_records(type, payload, size);
    return true;
}

bool journal_take_state(Run *run, Err *err)
{
    char *path = path_join(run->folder, "wal/log");
    int64_t records = 0;
    bool ok = wal_peek(path, 1, journal_most_record(run), count_state, &records, err);
    if (ok && records > 0 && records != log_state_count(run)) {
        err_set(err, ERR_IO, "the write-ahead log goes on from a state of another run");
        ok = err_at(err, "%s", path);
    }
    ok = ok && (records == 0 || log_state_take(run, path, journal_most_record(run), FRONT, (int)records, err));
    free(path);
    return ok;
}

bool journal_replay(Run *run, Err *err)
{
    char *path = path_join(run->folder, "wal/log");
    run->replaying = true;
    bool ok = wal_open(&run->wal, path, journal_most_record(run), replay, run, err);
    run->replaying = false;
    if (ok && run->base > run->state.version) { /* its steps are computed again */
        log_warn("run", "the log goes on from checkpoint-%lld: it is begun anew, and its steps are computed again",
                 (long long)run->base);
        ok = journal_start(run, err);
    }
    free(path);
    return ok;
}
