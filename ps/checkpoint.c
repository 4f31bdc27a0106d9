#include "ps/checkpoint.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/tensor/safetensors.h"
#include "ps/checkpoint_files.h"
#include "ps/output.h"
#include "ps/task_folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOMENTS_FILE "optimizer.safetensors"

/* ---- digests of values and moments ----------------------------------------------------------- */

static uint64_t of_floats(uint64_t before, const Run *run, const float *values)
{
    return digest_fast_more(before, values, (size_t)run->adapted.table->size * sizeof *values);
}

static uint64_t of_moments(const Run *run)
{
    StorePart parts[STORE_PARTS];
    const int count = store_parts(&run->store, parts);
    uint64_t digest = 0;
    for (int i = 0; i < count; i++)
        digest = of_floats(digest, run, parts[i].floats);
    return digest;
}

/* ---- the optimizer's file -------------------------------------------------------------------- */

static bool write_moments(const Run *run, const char *folder, Err *err)
{
    StorePart parts[STORE_PARTS];
    const int slots = run->adapted.table->count, count = store_parts(&run->store, parts) * slots;
    TensorOut *tensors = xcalloc((size_t)count, sizeof *tensors);
    for (int i = 0; i < count; i++) {
        const Slot *slot = &run->adapted.table->slots[i % slots];
        const StorePart *part = &parts[i / slots];
        tensors[i].name = xprintf("%s.%s", part->name, slot->name);
        tensors[i].dims = slot->dims;
        memcpy(tensors[i].dim, slot->dim, sizeof slot->dim);
        tensors[i].data = part->floats + slot->offset;
    }
    char *path = path_join(folder, MOMENTS_FILE);
    const bool ok = safetensors_write(path, tensors, count, err);
    for (int i = 0; i < count; i++)
        free((char *)(uintptr_t)tensors[i].name);
    free(tensors);
    free(path);
    return ok;
}

static bool read_moment(float *out, const SafeTensors *st, const char *kind, const Slot *slot, Err *err)
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

/* floats[table->size] of every slot, under the name of a part of the store. */
static bool read_part(float *floats, const Run *run, const SafeTensors *st, const char *name, Err *err)
{
    bool ok = true;
    for (int i = 0; ok && i < run->adapted.table->count; i++)
        ok = read_moment(floats, st, name, &run->adapted.table->slots[i], err);
    return ok;
}

static SafeTensors *open_moments(const char *folder, char **path, Err *err)
{
    *path = path_join(folder, MOMENTS_FILE);
    return safetensors_open(*path, err);
}

static bool read_moments(Run *run, const char *folder, Err *err)
{
    StorePart parts[STORE_PARTS];
    const int count = store_parts(&run->store, parts);
    char *path;
    SafeTensors *st = open_moments(folder, &path, err);
    bool ok = st != NULL;
    for (int i = 0; ok && i < count; i++)
        ok = read_part(parts[i].floats, run, st, parts[i].name, err);
    if (!ok)
        err_at(err, "%s", path);
    safetensors_close(st);
    free(path);
    return ok;
}

/* Values that the adapter's file has in another form. */
static bool read_raw(float *out, const Run *run, const char *folder, Err *err)
{
    char *path;
    SafeTensors *st = open_moments(folder, &path, err);
    const bool ok = st && read_part(out, run, st, STORE_VALUE, err);
    if (!ok)
        err_at(err, "%s", path);
    safetensors_close(st);
    free(path);
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* lora_state.json and trainer_state.json, both whole and of this run; the caller's. */
static bool open_states(const Run *run, json_t **own, json_t **trainer, const char *folder, Err *err)
{
    *trainer = NULL;
    *own = resume_open(folder, err);
    const char *foreign = *own ? resume_foreign(run, *own) : NULL;
    if (foreign) {
        err_set(err, ERR_REFUSED, "%s", foreign);
        err_at(err, "%s/" RESUME_FILE, folder);
    }
    if (*own && !foreign && (*trainer = resume_open_trainer(*own, folder, err)))
        return true;
    json_decref(*own);
    return false;
}

static bool read_values(float *out, const Run *run, const char *folder, const json_t *state, Err *err)
{
    return (store_is_plain(&run->store) ? slots_read(out, run->adapted.table, folder, err)
                                        : read_raw(out, run, folder, err)) &&
           resume_is_whole(state, folder, slots_file(run->adapted.table), of_floats(0, run, out), err);
}

bool checkpoint_load_values(Run *run, int64_t version, Err *err)
{
    const size_t bytes = (size_t)run->adapted.table->size * sizeof(float);
    char *folder = checkpoint_path(run, version);
    json_t *own, *trainer;
    const bool open = open_states(run, &own, &trainer, folder, err);
    float *values = open ? mem_alloc(bytes, err) : NULL;
    bool ok = values != NULL;
    if (ok) {
        memcpy(values, run->store.value, bytes); /* what lies between slots, too */
        ok = read_values(values, run, folder, own, err) && resume_take_kept(run, own, err);
    }
    if (ok)
        memcpy(run->store.value, values, bytes);
    if (open) {
        json_decref(own);
        json_decref(trainer);
    }
    free(values);
    free(folder);
    return ok;
}

/* Values, moments and state; on failure they are of no use. */
static bool load(Run *run, int64_t version, Err *err)
{
    char *folder = checkpoint_path(run, version);
    json_t *own, *trainer;
    const bool open = open_states(run, &own, &trainer, folder, err);
    const bool ok = open && read_values(run->store.value, run, folder, own, err) && read_moments(run, folder, err) &&
                    resume_is_whole(own, folder, MOMENTS_FILE, of_moments(run), err) &&
                    resume_take_state(run, own, err) && resume_take_kept(run, own, err);
    if (ok) {
        json_decref(run->state.history);
        run->state.history = json_incref(json_object_get(trainer, "log_history"));
    }
    if (open) {
        json_decref(own);
        json_decref(trainer);
    }
    free(folder);
    return ok;
}

bool checkpoint_load_newest(Run *run, Err *err)
{
    size_t count;
    int64_t *steps = checkpoint_steps(run, &count);
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

bool checkpoint_check(Run *run, int64_t version, Err *err)
{
    char *folder = checkpoint_path(run, version);
    json_t *own = resume_open(folder, err), *trainer = own ? resume_open_trainer(own, folder, err) : NULL;
    const bool ok = trainer && read_values(run->store.value, run, folder, own, err) && read_moments(run, folder, err) &&
                    resume_is_whole(own, folder, MOMENTS_FILE, of_moments(run), err);
    json_decref(own);
    json_decref(trainer);
    free(folder);
    return ok;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Trainer's rule: the newest save_total_limit stay; the best is never removed when it will be
 * loaded. */
static void rotate(const Run *run)
{
    const int64_t limit = run->config.train.save_total_limit;
    size_t count;
    int64_t *steps = checkpoint_steps(run, &count);
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
        if (!checkpoint_remove(run, steps[i], &err))
            log_warn("save", "an old checkpoint stays: %s", err.what);
    }
    free(steps);
}

static bool write_states(const Run *run, const char *folder, Err *err)
{
    const FileDigest digests[] = { { slots_file(run->adapted.table), of_floats(0, run, run->store.value) },
                                   { MOMENTS_FILE, of_moments(run) } };
    return output_state(run, folder, digests, 2, err);
}

static bool fill(Run *run, const char *folder, Err *err)
{
    const AdapterForm form = store_form(&run->store, run->total);
    return folder_make(folder, err) &&
           slots_write(folder, &form, run->adapted.table, &run->config.lora, run->config.model, true, err) &&
           task_folders_write(run, &form, folder, err) && write_moments(run, folder, err) &&
           write_states(run, folder, err) && output_extras(run, folder, err) && folder_sync(folder, err);
}

bool checkpoint_write(Run *run, Err *err)
{
    char *path = checkpoint_path(run, run->state.version);
    char *part = xprintf("%s" CHECKPOINT_PART, path);
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
