#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/tensor/safetensors.h"
#include "ps/run_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADAPTER_FILE "adapter_model.safetensors"
#define MOMENTS_FILE "optimizer.safetensors"
#define STATE_FILE "trainer_state.json"
#define PART ".tmp" /* behind the name of a checkpoint that is being written */

enum { FORMAT = 2 }; /* of lora_resume */

char *checkpoint_path(const Run *run, int64_t version)
{
    return xprintf("%s/checkpoint-%lld", run->folder, (long long)version);
}

/* ---- digests: trainer_state.json says what the files of a checkpoint hold ---------------------- */

static uint64_t of_floats(uint64_t before, const Run *run, const float *values)
{
    return digest_fast_more(before, values, (size_t)run->table->size * sizeof *values);
}

static uint64_t of_moments(const Run *run)
{
    return of_floats(of_floats(0, run, run->store.m), run, run->store.v);
}

/* Of all that the file says but the digests. */
static uint64_t of_state(const json_t *state)
{
    json_t *bare = json_deep_copy(state);
    json_object_del(json_object_get(bare, "lora_resume"), "digests");
    char *text = json_dumps(bare, JSON_COMPACT | JSON_SORT_KEYS);
    const uint64_t digest = digest_fast(text, strlen(text));
    free(text);
    json_decref(bare);
    return digest;
}

static json_t *in_hex(uint64_t digest)
{
    return json_sprintf("%08x%08x", (unsigned)(digest >> 32), (unsigned)digest);
}

void checkpoint_seal(const Run *run, json_t *state)
{
    json_t *resume = json_object_get(state, "lora_resume");
    json_object_set_new(resume, "format", json_integer(FORMAT));
    json_object_set_new(resume, "run", in_hex(run->id));
    json_object_set_new(resume, "plan", in_hex(run->plan));
    json_t *digests = json_pack("{s:o, s:o, s:o}", ADAPTER_FILE, in_hex(of_floats(0, run, run->store.value)),
                                MOMENTS_FILE, in_hex(of_moments(run)), STATE_FILE, in_hex(of_state(state)));
    REQUIRE(json_object_set_new(resume, "digests", digests) == 0);
}

/* That what was read of a file is what was written. */
static bool is_whole(const json_t *state, const char *folder, const char *name, uint64_t digest, Err *err)
{
    const json_t *digests = json_object_get(json_object_get(state, "lora_resume"), "digests");
    json_t *want = in_hex(digest);
    const bool ok = json_equal(want, json_object_get(digests, name));
    json_decref(want);
    if (!ok) {
        err_set(err, ERR_IO, "the file is damaged: it is not what was written");
        err_at(err, "%s/%s", folder, name);
    }
    return ok;
}

/* ---- the optimizer's file -------------------------------------------------------------------- */

static bool write_moments(const Run *run, const char *folder, Err *err)
{
    const int count = run->table->count;
    TensorOut *tensors = xcalloc(2 * (size_t)count, sizeof *tensors);
    for (int i = 0; i < 2 * count; i++) {
        const Slot *slot = &run->table->slots[i % count];
        const bool first = i < count;
        tensors[i].name = xprintf("%s.%s", first ? "exp_avg" : "exp_avg_sq", slot->name);
        tensors[i].dims = slot->dims;
        memcpy(tensors[i].dim, slot->dim, sizeof slot->dim);
        tensors[i].data = (first ? run->store.m : run->store.v) + slot->offset;
    }
    char *path = path_join(folder, MOMENTS_FILE);
    const bool ok = safetensors_write(path, tensors, 2 * count, err);
    for (int i = 0; i < 2 * count; i++)
        free((char *)(uintptr_t)tensors[i].name);
    free(tensors);
    free(path);
    return ok;
}

static bool read_moment(float *out, const SafeTensors *st, const char *kind, const Slot *slot,
                        Err *err)
{
    char *name = xprintf("%s.%s", kind, slot->name);
    const TensorView *view = safetensors_find(st, name);
    bool ok = view && view->count == slot->count;
    if (!ok)
        err_set(err, ERR_INPUT, "\"%s\" is missing or has another size", name);
    ok = ok && tensor_to_f32(out + slot->offset, view, 0, slot->count, err);
    free(name);
    return ok;
}

static bool read_moments(Run *run, const char *folder, Err *err)
{
    char *path = path_join(folder, MOMENTS_FILE);
    SafeTensors *st = safetensors_open(path, err);
    bool ok = st != NULL;
    for (int i = 0; ok && i < run->table->count; i++)
        ok = read_moment(run->store.m, st, "exp_avg", &run->table->slots[i], err) &&
             read_moment(run->store.v, st, "exp_avg_sq", &run->table->slots[i], err);
    if (!ok)
        err_at(err, "%s", path);
    safetensors_close(st);
    free(path);
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* That the file's lora_resume has this number, as 16 hexadecimal digits. */
static bool says(const json_t *state, const char *key, uint64_t number)
{
    json_t *want = in_hex(number);
    const bool ok = json_equal(want, json_object_get(json_object_get(state, "lora_resume"), key));
    json_decref(want);
    return ok;
}

/* NULL when a whole file is this run's, else why not. */
static const char *foreign(const Run *run, const json_t *state)
{
    const json_t *format = json_object_get(json_object_get(state, "lora_resume"), "format");
    if (!json_is_integer(format) || json_integer_value(format) != FORMAT)
        return "it was written by another version of this program, and does not say in a way known here of which run it is";
    if (!says(state, "run", run->id))
        return "it is another run's";
    return says(state, "plan", run->plan) ? NULL : "it is of another configuration or other data";
}

/* trainer_state.json, whole and of this run; the caller's. */
static json_t *open_state(const Run *run, const char *folder, Err *err)
{
    char *path = path_join(folder, STATE_FILE);
    json_t *file = json_file(path, err);
    bool ok = file && json_is_object(json_object_get(json_object_get(file, "lora_resume"), "digests")) &&
              json_is_array(json_object_get(file, "log_history"));
    if (file && !ok) {
        err_set(err, ERR_INPUT, "holds no \"lora_resume\" with digests: not a checkpoint of this version of this program");
        err_at(err, "%s", path);
    }
    ok = ok && is_whole(file, folder, STATE_FILE, of_state(file), err);
    if (ok && foreign(run, file)) {
        ok = err_set(err, ERR_REFUSED, "%s", foreign(run, file));
        err_at(err, "%s", path);
    }
    free(path);
    if (ok)
        return file;
    json_decref(file);
    return NULL;
}

static bool take_state(Run *run, const json_t *file, Err *err)
{
    const json_t *from = json_object_get(file, "lora_resume");
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
    s->stop_early = json_get_bool(from, "stop_early", false, &bad);
    json_decref(s->history);
    s->history = json_deep_copy(json_object_get(file, "log_history"));
    if (bad.kind != ERR_NONE)
        *err = bad;
    return bad.kind == ERR_NONE;
}

static bool read_values(float *out, const Run *run, const char *folder, const json_t *state, Err *err)
{
    return slots_read_adapter(out, run->table, folder, err) &&
           is_whole(state, folder, ADAPTER_FILE, of_floats(0, run, out), err);
}

bool checkpoint_load_values(Run *run, int64_t version, Err *err)
{
    const size_t bytes = (size_t)run->table->size * sizeof(float);
    char *folder = checkpoint_path(run, version);
    json_t *state = open_state(run, folder, err);
    float *values = state ? mem_alloc(bytes, err) : NULL;
    bool ok = values != NULL;
    if (ok) {
        memcpy(values, run->store.value, bytes); /* what lies between slots, too */
        ok = read_values(values, run, folder, state, err);
    }
    if (ok)
        memcpy(run->store.value, values, bytes);
    free(values);
    json_decref(state);
    free(folder);
    return ok;
}

/* Values, moments and state; on failure they are of no use. */
static bool load(Run *run, int64_t version, Err *err)
{
    char *folder = checkpoint_path(run, version);
    json_t *state = open_state(run, folder, err);
    const bool ok = state && read_values(run->store.value, run, folder, state, err) && read_moments(run, folder, err) &&
                    is_whole(state, folder, MOMENTS_FILE, of_moments(run), err) && take_state(run, state, err);
    json_decref(state);
    free(folder);
    return ok;
}

/* Step of a name "checkpoint-<step>", else -1. */
static int64_t step_of(const char *name)
{
    if (!text_starts(name, "checkpoint-"))
        return -1;
    char *rest;
    errno = 0;
    const long long step = strtoll(name + strlen("checkpoint-"), &rest, 10);
    return *rest == '\0' && rest[-1] != '-' && errno == 0 ? step : -1;
}

static int by_step(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Steps of all checkpoints, rising; owned by the caller. */
static int64_t *all_steps(const Run *run, size_t *count)
{
    size_t names = 0;
    char **list = folder_list(run->folder, &names, NULL);
    int64_t *steps = xcalloc(names + 1, sizeof *steps);
    *count = 0;
    for (size_t i = 0; list && i < names; i++) {
        if (step_of(list[i]) >= 0)
            steps[(*count)++] = step_of(list[i]);
        free(list[i]);
    }
    free(list);
    qsort(steps, *count, sizeof *steps, by_step);
    return steps;
}

char *checkpoint_any(const Run *run)
{
    size_t count;
    int64_t *steps = all_steps(run, &count);
    char *path = count > 0 ? checkpoint_path(run, steps[count - 1]) : NULL;
    free(steps);
    return path;
}

bool checkpoint_load_newest(Run *run, Err *err)
{
    size_t count;
    int64_t *steps = all_steps(run, &count);
    Err first = { 0 }; /* of what may be ours */
    for (size_t i = count; i-- > 0 && run->saved < 0 && first.kind != ERR_MEMORY;) {
        Err bad = { 0 };
        if (load(run, steps[i], &bad)) {
            run->saved = steps[i];
            continue;
        }
        log_warn("run", "a checkpoint is passed over: %s path=%s", bad.what, bad.where);
        if (first.kind == ERR_NONE && bad.kind != ERR_REFUSED)
            first = bad;
    }
    free(steps);
    const bool ok = run->saved >= 0 || first.kind == ERR_NONE;
    if (!ok)
        *err = first;
    return ok;
}

static bool remove_one(const Run *run, int64_t step, Err *err)
{
    char *path = checkpoint_path(run, step);
    const bool ok = folder_remove(path, err);
    free(path);
    return ok;
}

/* What a crash left of checkpoints that were being written. */
static bool remove_parts(const Run *run, Err *err)
{
    size_t count = 0;
    char **names = folder_list(run->folder, &count, err);
    bool ok = names != NULL;
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(run->folder, names[i]);
        if (ok && text_starts(names[i], "checkpoint-") && text_ends(names[i], PART))
            ok = folder_remove(path, err);
        free(path);
        free(names[i]);
    }
    free(names);
    return ok;
}

bool checkpoint_remove_all(const Run *run, Err *err)
{
    size_t count;
    int64_t *steps = all_steps(run, &count);
    bool ok = true;
    for (size_t i = count; ok && i-- > 0;)
        ok = remove_one(run, steps[i], err);
    free(steps);
    return ok && remove_parts(run, err);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Trainer's rule: the newest save_total_limit stay; the best is never removed when it will be
 * loaded. */
static void rotate(const Run *run)
{
    const int64_t limit = run->config.train.save_total_limit;
    size_t count;
    int64_t *steps = all_steps(run, &count);
    const int64_t best = run->config.train.load_best_model_at_end ? run->state.best_step : -1;
    size_t keep = limit > 0 ? (size_t)limit : count;
    if (keep == 1 && best >= 0 && best != run->state.version)
        keep = 2;
    size_t surplus = count > keep ? count - keep : 0;
    for (size_t i = 0; i < count && surplus > 0; i++) {
        Err err = { 0 };
        if (steps[i] == best || steps[i] == run->state.version)
            continue;
        surplus--;
        if (!remove_one(run, steps[i], &err))
            log_warn("save", "an old checkpoint stays: %s", err.what);
    }
    free(steps);
}

static bool fill(Run *run, const char *folder, Err *err)
{
    return folder_make(folder, err) &&
           slots_write_adapter(folder, run->store.value, run->table, run->arch, &run->config.lora,
                               run->config.model, err) &&
           write_moments(run, folder, err) && output_state(run, folder, err) &&
           output_extras(run, folder, err) && folder_sync(folder, err);
}

bool checkpoint_write(Run *run, Err *err)
{
    char *path = checkpoint_path(run, run->state.version);
    char *part = xprintf("%s" PART, path);
    bool ok = (!file_is_folder(part) || folder_remove(part, err)) && fill(run, part, err) &&
              (!file_is_folder(path) || folder_remove(path, err));
    if (ok && rename(part, path) != 0)
        ok = err_errno(err, "cannot rename to \"%s\"", path);
    ok = ok && folder_sync(run->folder, err);
    if (ok) {
        run->saved = run->state.version;
        rotate(run);
    } else if (file_is_folder(part) && !folder_remove(part, NULL)) {
        log_warn("save", "a part of a checkpoint stays path=%s", part);
    }
    free(part);
    free(path);
    return ok;
}
