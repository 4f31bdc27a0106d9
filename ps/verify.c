#include "ps/verify.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "ps/checkpoint.h"
#include "ps/checkpoint_files.h"
#include "ps/journal.h"
#include "ps/run_model.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef struct Verify {
    const VerifyOptions *options;
    Run *run; /* its model and table alone */
    Text *out;
    int files, damaged;
} Verify;

static void say(Verify *v, bool ok, const char *what, const char *more)
{
    v->files++;
    v->damaged += !ok;
    text_addf(v->out, "%-8s %s%s%s\n", ok ? "ok" : "DAMAGED", what, more && *more ? ": " : "", more ? more : "");
}

static void say_err(Verify *v, const char *what, const Err *err)
{
    char *more = xprintf("%s%s%s%s", err->what, err->where[0] ? " (" : "", err->where, err->where[0] ? ")" : "");
    say(v, false, what, more);
    free(more);
}

/* ---- the log ------------------------------------------------------------------------------------ */

/* Steps that the whole records of a log hold; version of the state that they go on from (-1: none), and its records. */
typedef struct LogSteps {
    int64_t first, last, count, evaluations, state, wanted, found;
} LogSteps;

/* The version that a state is of. */
static bool read_state(LogSteps *steps, const void *payload, size_t size, Err *err)
{
    json_t *own = json_bytes(payload, size, "state of the run", err);
    steps->state = own ? json_get_int(json_object_get(own, "state"), "version", -1, err) : -1;
    json_decref(own);
    return own && err->kind == ERR_NONE;
}

static bool count_record(void *self, WalType type, const void *payload, size_t size, Err *err)
{
    LogSteps *steps = self;
    StepMade step;
    if (type == WAL_HEADER)
        steps->wanted = journal_state_records(type, payload, size);
    steps->found += type == WAL_STATE || type == WAL_FLOATS;
    if (type == WAL_STATE)
        return read_state(steps, payload, size, err);
    steps->evaluations += type == WAL_EVAL;
    if (type != WAL_STEP || size < sizeof step)
        return true;
    memcpy(&step, payload, sizeof step);
    steps->first = steps->count == 0 ? step.step + 1 : steps->first;
    steps->last = step.step + 1;
    steps->count++;
    return true;
}

static bool copy_and_cut(const char *path, int64_t at, Err *err)
{
    char *kept = xprintf("%s.damaged", path);
    bool ok = file_copy(path, kept, err);
    if (ok && truncate(path, (off_t)at) != 0)
        ok = err_errno(err, "cannot cut the log") || err_at(err, "%s", path);
    free(kept);
    return ok;
}

static void describe_log(Text *more, const WalLook *look, const LogSteps *steps)
{
    if (steps->state >= 0)
        text_addf(more, "the state of step %lld, ", (long long)steps->state);
    if (steps->count > 0)
        text_addf(more, "steps %lld to %lld, ", (long long)steps->first, (long long)steps->last);
    else
        text_adds(more, "no steps, ");
    text_addf(more, "%lld evaluations, %lld records, %lld bytes", (long long)steps->evaluations,
              (long long)look->records, (long long)look->size);
    if (look->torn > 0)
        text_addf(more, "; the last record was cut short by a crash (%lld bytes), it is computed again",
                  (long long)look->torn);
    if (look->damaged >= 0)
        text_addf(more, "; damaged at byte %lld: %lld whole records stand behind it", (long long)look->damaged,
                  (long long)look->behind);
}

static bool verify_log(Verify *v, Err *err)
{
    char *path = path_join(v->options->folder, "wal/log");
    WalLook look;
    LogSteps steps = { .state = -1 };
    Err bad = { 0 };
    bool ok = true;
    if (!file_exists(path)) {
        free(path);
        return true;
    }
    if (!wal_look(&look, path, journal_most_record(v->run), count_record, &steps, &bad)) {
        say_err(v, "wal/log", &bad);
    } else {
        Text more = { 0 };
        const bool cut = look.damaged > 0 && v->options->cut;
        describe_log(&more, &look, &steps);
        ok = !cut || copy_and_cut(path, look.damaged, err);
        const bool torn = steps.found < steps.wanted;
        if (torn)
            text_adds(&more,
                      "; the state in front is not whole: steps behind the newest checkpoint are computed again");
        if (cut && ok)
            text_addf(&more, "; cut there, the old one is wal/log.damaged: the run goes on at step %lld",
                      (long long)steps.last);
        else if (look.damaged > 0)
            text_adds(&more, "; --cut leaves what is before it, and the steps behind it are computed again");
        say(v, !torn && (look.damaged < 0 || (cut && ok)), "wal/log", more.data);
        text_release(&more);
    }
    free(path);
    return ok;
}

/* ---- checkpoints, the end -------------------------------------------------------------------------- */

static void verify_checkpoints(Verify *v)
{
    size_t count;
    int64_t *steps = checkpoint_steps(v->run, &count);
    for (size_t i = 0; i < count; i++) {
        Err bad = { 0 };
        char *name = xprintf("checkpoint-%lld", (long long)steps[i]);
        if (checkpoint_check(v->run, steps[i], &bad))
            say(v, true, name, "values, moments and state are what was written");
        else
            say_err(v, name, &bad);
        free(name);
    }
    free(steps);
}

/* The file of the end beside the digest that summary.json has. */
static void verify_end(Verify *v)
{
    Err bad = { 0 };
    char *path = path_join(v->options->folder, "summary.json"),
         *file = path_join(v->options->folder, slots_file(v->run->adapted.table));
    json_t *summary = file_exists(path) ? json_file(path, &bad) : NULL;
    const char *want =
        summary ? json_get_string(summary, v->run->adapted.table->whole ? "model_sha256" : "adapter_sha256", NULL, &bad)
                : NULL;
    char hex[DIGEST_HEX] = "";
    FileMap map = { 0 };
    if (want && file_map(&map, file, &bad)) {
        digest_sha256(hex, map.data, map.size);
        say(v, strcmp(hex, want) == 0, slots_file(v->run->adapted.table),
            strcmp(hex, want) == 0 ? "the SHA-256 of summary.json" : "another SHA-256 than summary.json says");
    } else if (bad.kind != ERR_NONE) {
        say_err(v, slots_file(v->run->adapted.table), &bad);
    }
    file_unmap(&map);
    json_decref(summary);
    free(path);
    free(file);
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

/* A server would write while we read: it says itself what is damaged. */
static bool is_free(const char *folder, int *lock, Err *err)
{
    *lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (*lock < 0)
        err_errno(err, "cannot open");
    else
        err_set(err, ERR_INPUT, "a parameter server works on this folder: stop it first (`lora drain`)");
    return err_at(err, "%s", folder);
}

static bool open_run(Run *run, const char *folder, Err *err)
{
    char *path = run_folder_file(folder);
    if (!path) {
        err_set(err, ERR_INPUT, "there is no run in this folder: it has no run.yaml");
        return err_at(err, "%s", folder);
    }
    const bool ok = config_load(&run->config, &(ConfigSources){ .file = path }, err) && run_model_open(run, err);
    free(path);
    return ok;
}

bool verify_run(const VerifyOptions *options, Text *out, Err *err)
{
    Run run = { .wal = WAL_CLOSED, .folder = (char *)(uintptr_t)options->folder };
    Verify v = { options, &run, out, 0, 0 };
    int lock = -1;
    bool ok = is_free(options->folder, &lock, err) && open_run(&run, options->folder, err) && verify_log(&v, err);
    if (ok) {
        verify_checkpoints(&v);
        verify_end(&v);
    }
    if (ok && v.damaged > 0) {
        ok = err_set(err, ERR_IO, "%d of %d are damaged", v.damaged, v.files);
        err_at(err, "%s", options->folder);
    }
    store_release(&run.store);
    adapted_release(&run.adapted);
    config_release(&run.config);
    if (lock >= 0)
        close(lock);
    return ok;
}
