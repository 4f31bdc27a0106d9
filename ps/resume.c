/* lora_state.json, beside PEFT's and Trainer's files in output_dir and each checkpoint: whose they are, what
 * the run goes on counting, what its first worker had, and digests of the files. trainer_state.json has
 * Trainer's keys alone, as its own readers take no others. */
#include "ps/resume.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAINER_FILE "trainer_state.json"

enum { FORMAT = 3 };

/* ---- numbers, digests ------------------------------------------------------------------------ */

static json_t *in_hex(uint64_t number)
{
    return json_sprintf("%08x%08x", (unsigned)(number >> 32), (unsigned)number);
}

static uint64_t from_hex(const json_t *object, const char *key, Err *err)
{
    const char *text = json_get_string(object, key, "", err);
    if (err->kind == ERR_NONE && (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16))
        err_set(err, ERR_INPUT, "\"%s\" is not a number of 16 hexadecimal digits", key);
    return strtoull(text, NULL, 16);
}

static void set(json_t *object, const char *key, json_t *value)
{
    REQUIRE(json_object_set_new(object, key, value) == 0);
}

static uint64_t of_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    const uint64_t digest = digest_fast(text, strlen(text));
    free(text);
    return digest;
}

/* Of all that the file says but its own digest. */
static uint64_t of_own(const json_t *own)
{
    json_t *bare = json_deep_copy(own);
    json_object_del(json_object_get(bare, "digests"), RESUME_FILE);
    const uint64_t digest = of_json(bare);
    json_decref(bare);
    return digest;
}

static bool says(const json_t *object, const char *key, uint64_t number)
{
    json_t *want = in_hex(number);
    const bool ok = json_equal(want, json_object_get(object, key));
    json_decref(want);
    return ok;
}

bool resume_is_whole(const json_t *own, const char *folder, const char *name, uint64_t digest, Err *err)
{
    if (says(json_object_get(own, "digests"), name, digest))
        return true;
    err_set(err, ERR_IO, "the file is damaged: it is not what was written");
    return err_at(err, "%s/%s", folder, name);
}

/* ---- what the first worker had ---------------------------------------------------------------- */

static json_t *facts_json(const HelloFacts *f)
{
    json_t *to = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s}", "slot_size", (json_int_t)f->slot_size,
                           "examples", (json_int_t)f->examples, "longest", (json_int_t)f->longest, "eval_chunks",
                           (json_int_t)f->eval_chunks, "eval_examples", (json_int_t)f->eval_examples, "eval_width",
                           (json_int_t)f->eval_width, "host", f->host, "arithmetic", f->arithmetic);
    REQUIRE(to);
    set(to, "model", in_hex(f->base_digest));
    set(to, "slots", in_hex(f->slot_hash));
    set(to, "data", in_hex(f->data_digest));
    set(to, "eval_data", in_hex(f->eval_digest));
    set(to, "fingerprint", in_hex(f->fingerprint));
    return to;
}

bool resume_facts(HelloFacts *f, const json_t *own, Err *err)
{
    const json_t *from = json_object_get(own, "facts");
    Err bad = { 0 };
    *f = (HelloFacts){
        .base_digest = from_hex(from, "model", &bad),
        .slot_hash = from_hex(from, "slots", &bad),
        .data_digest = from_hex(from, "data", &bad),
        .eval_digest = from_hex(from, "eval_data", &bad),
        .slot_size = json_get_int(from, "slot_size", 0, &bad),
        .examples = json_get_int(from, "examples", 0, &bad),
        .longest = json_get_int(from, "longest", 0, &bad),
        .eval_chunks = json_get_int(from, "eval_chunks", 0, &bad),
        .eval_examples = json_get_int(from, "eval_examples", 0, &bad),
        .eval_width = json_get_int(from, "eval_width", 0, &bad),
        .ranks = 1,
        .job_ranks = 1,
        .fingerprint = from_hex(from, "fingerprint", &bad),
    };
    snprintf(f->host, sizeof f->host, "%s", json_get_string(from, "host", "", &bad));
    snprintf(f->arithmetic, sizeof f->arithmetic, "%s", json_get_string(from, "arithmetic", "", &bad));
    if (bad.kind != ERR_NONE)
        *err = bad;
    return bad.kind == ERR_NONE;
}

/* ---- what goes on counting -------------------------------------------------------------------- */

static json_t *plateau_json(const Plateau *p)
{
    json_t *to = json_pack("{s:b, s:f, s:I, s:I, s:I}", "seen", (int)p->seen, "best", p->best, "bad",
                           (json_int_t)p->bad, "cooldown", (json_int_t)p->cooldown, "reduced", (json_int_t)p->reduced);
    REQUIRE(to);
    return to;
}

/* Of another metric the best says nothing; what the rates are by now stays. */
static void take_plateau(Plateau *p, const json_t *from, bool other_metric, Err *err)
{
    *p = (Plateau){
        .seen = json_get_bool(from, "seen", false, err) && !other_metric,
        .best = json_get_real(from, "best", 0, err),
        .bad = other_metric ? 0 : json_get_int(from, "bad", 0, err),
        .cooldown = json_get_int(from, "cooldown", 0, err),
        .reduced = json_get_int(from, "reduced", 0, err),
    };
}

static json_t *state_json(const Run *run)
{
    const RunState *s = &run->state;
    json_t *to = json_pack("{s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:b}", "version",
                           (json_int_t)s->version, "evaluated", (json_int_t)s->evaluated, "loss_total", s->loss_total,
                           "loss_since", s->loss_since, "logged", (json_int_t)s->logged, "tokens",
                           (json_int_t)s->tokens, "tokens_since", (json_int_t)s->tokens_since, "seconds", s->seconds,
                           "seconds_logged", s->seconds_logged, "best", s->best, "best_step", (json_int_t)s->best_step,
                           "worse", (json_int_t)s->worse, "stop_early", (int)s->stop_early);
    REQUIRE(to);
    if (s->skipped > 0) {
        set(to, "skipped", json_integer(s->skipped));
        set(to, "skipped_since", json_integer(s->skipped_since));
    }
    if (s->ledger.count > 0)
        set(to, "missing", ledger_json(&s->ledger));
    if (schedule_is_measured(run->schedule.kind))
        set(to, "plateau", plateau_json(&s->plateau));
    if (run->store.allocator.masked) {
        Text kept = { 0 };
        allocator_write(&run->store.allocator, &kept);
        set(to, "kept", json_string(kept.data));
        set(to, "rank_threshold", json_real(run->store.allocator.threshold));
        text_release(&kept);
    }
    return to;
}

static bool is_by_another_metric(const Run *run, const json_t *own, Err *err)
{
    const json_t *by = json_object_get(own, "ranked");
    return strcmp(json_get_string(by, "metric", "", err), run->config.train.metric_for_best_model) != 0;
}

/* The best was found by another metric, or also among what is not kept: it is looked for again. */
static bool is_ranked_otherwise(const Run *run, const json_t *own, Err *err)
{
    return is_by_another_metric(run, own, err) || json_get_bool(json_object_get(own, "ranked"), "kept", false, err) !=
                                                      run->config.train.load_best_model_at_end;
}

bool resume_take_kept(Run *run, const json_t *own, Err *err)
{
    const json_t *from = json_object_get(own, "state");
    Err bad = { 0 };
    const char *kept = json_get_string(from, "kept", "", &bad);
    run->store.allocator.threshold = json_get_real(from, "rank_threshold", 0, &bad);
    if (bad.kind == ERR_NONE)
        return allocator_read(&run->store.allocator, kept, err);
    *err = bad;
    return false;
}

bool resume_take_state(Run *run, const json_t *own, Err *err)
{
    const json_t *from = json_object_get(own, "state");
    Err bad = { 0 };
    RunState *s = &run->state;
    s->version = json_get_int(from, "version", -1, &bad);
    s->evaluated = json_get_int(from, "evaluated", -1, &bad);
    s->loss_total = json_get_real(from, "loss_total", 0, &bad);
    s->loss_since = json_get_real(from, "loss_since", 0, &bad);
    s->logged = json_get_int(from, "logged", 0, &bad);
    s->tokens = json_get_int(from, "tokens", 0, &bad);
    s->tokens_since = json_get_int(from, "tokens_since", 0, &bad);
    s->seconds = json_get_real(from, "seconds", 0, &bad);
    s->seconds_logged = json_get_real(from, "seconds_logged", 0, &bad);
    s->best = json_get_real(from, "best", 0, &bad);
    s->best_step = json_get_int(from, "best_step", -1, &bad);
    s->worse = json_get_int(from, "worse", 0, &bad);
    s->skipped = json_get_int(from, "skipped", 0, &bad);
    s->skipped_since = json_get_int(from, "skipped_since", 0, &bad);
    s->stop_early = json_get_bool(from, "stop_early", false, &bad);
    take_plateau(&s->plateau, json_object_get(from, "plateau"), is_by_another_metric(run, own, &bad), &bad);
    run->rank_again = is_ranked_otherwise(run, own, &bad);
    if (bad.kind == ERR_NONE && ledger_take(&s->ledger, s->version, json_object_get(from, "missing"), &bad))
        return true;
    *err = bad;
    return false;
}

json_t *resume_counts(const Run *run)
{
    const TrainConfig *t = &run->config.train;
    json_t *own = json_pack("{s:o, s:{s:s, s:b}}", "state", state_json(run), "ranked", "metric",
                            t->metric_for_best_model, "kept", (int)t->load_best_model_at_end);
    REQUIRE(own);
    return own;
}

/* ---- the file --------------------------------------------------------------------------------- */

bool resume_write(const Run *run, const json_t *trainer, const char *folder, const FileDigest *files, int count,
                  Err *err)
{
    json_t *own = json_pack("{s:i, s:I, s:I, s:o}", "format", FORMAT, "micro_batches", (json_int_t)run->M, "steps",
                            (json_int_t)run->total, "facts", facts_json(&run->facts));
    json_t *counts = resume_counts(run), *digests = json_object();
    REQUIRE(own && json_object_update(own, counts) == 0);
    json_decref(counts);
    set(own, "run", in_hex(run->id));
    set(own, "plan", in_hex(run->basis));
    set(own, "digests", digests);
    set(digests, TRAINER_FILE, in_hex(of_json(trainer)));
    for (int i = 0; i < count; i++)
        set(digests, files[i].name, in_hex(files[i].digest));
    set(digests, RESUME_FILE, in_hex(of_own(own)));
    char *path = path_join(folder, RESUME_FILE);
    const bool ok = json_write(path, own, err);
    free(path);
    json_decref(own);
    return ok;
}

json_t *resume_open(const char *folder, Err *err)
{
    char *path = path_join(folder, RESUME_FILE);
    json_t *own = NULL;
    bool ok = file_exists(path);
    if (!ok)
        err_set(err, ERR_INPUT, "not a checkpoint of this version of this program");
    else
        own = json_file(path, err);
    if (own && !(ok = json_is_object(json_object_get(own, "digests"))))
        err_set(err, ERR_INPUT, "holds no \"digests\": not a checkpoint of this version of this program");
    if (!ok)
        err_at(err, "%s", path);
    ok = ok && own && resume_is_whole(own, folder, RESUME_FILE, of_own(own), err);
    free(path);
    if (ok)
        return own;
    json_decref(own);
    return NULL;
}

json_t *resume_open_trainer(const json_t *own, const char *folder, Err *err)
{
    char *path = path_join(folder, TRAINER_FILE);
    json_t *trainer = json_file(path, err);
    free(path);
    if (trainer && resume_is_whole(own, folder, TRAINER_FILE, of_json(trainer), err))
        return trainer;
    json_decref(trainer);
    return NULL;
}

const char *resume_foreign(const Run *run, const json_t *own)
{
    const json_t *format = json_object_get(own, "format");
    const int64_t version = json_is_integer(format) ? json_integer_value(format) : 0;
    if (version != FORMAT)
        return version < FORMAT ? "it was written by an older version of this program"
                                : "it was written by a newer version of this program";
    if (!says(own, "run", run->id))
        return "it is another run's";
    return says(own, "plan", run->basis) ? NULL : "it is of another configuration or other data";
}

bool resume_identify(Run *run, int64_t *M, int64_t *steps, const json_t *own, Err *err)
{
    Err bad = { 0 };
    run->id = from_hex(own, "run", &bad);
    *M = json_get_int(own, "micro_batches", 0, &bad);
    *steps = json_get_int(own, "steps", 0, &bad);
    if (bad.kind != ERR_NONE)
        *err = bad;
    return bad.kind == ERR_NONE;
}
