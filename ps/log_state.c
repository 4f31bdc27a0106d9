/* DESIGN. A step's record holds a gradient, so a log of many steps is many adapters large. Where it would become too
 * long it is begun anew, with the state in front: one record of counts (JSON, as in lora_state.json), then a record
 * each of floats[table->size]: the values, and what a checkpoint keeps beside them. wal_start renames the new log over
 * the old one once all of it is on the disk, so that whoever is killed on the way finds one of the two, whole. */
#include "ps/log_state.h"

#include "common/base/json.h"
#include "ps/resume.h"

#include <stdlib.h>
#include <string.h>

static size_t floats_size(const Run *run)
{
    return (size_t)run->adapted.table->size * sizeof(float);
}

/* The values first, then all else; a store that has its values among the latter names them once. */
static int parts_of(const Run *run, StorePart parts[STORE_PARTS + 1])
{
    StorePart more[STORE_PARTS];
    const int all = store_parts(&run->store, more);
    int count = 0;
    parts[count++] = (StorePart){ STORE_VALUE, run->store.value };
    for (int i = 0; i < all; i++)
        if (more[i].floats != run->store.value)
            parts[count++] = more[i];
    return count;
}

int log_state_count(const Run *run)
{
    StorePart parts[STORE_PARTS + 1];
    return 1 + parts_of(run, parts);
}

int log_state_make(WalType types[LOG_STATE_RECORDS], WalPart parts[LOG_STATE_RECORDS], char **counts, const Run *run)
{
    StorePart floats[STORE_PARTS + 1];
    const int count = parts_of(run, floats);
    json_t *own = resume_counts(run);
    REQUIRE(json_object_set(own, "log_history", run->state.history) == 0);
    *counts = json_dumps(own, JSON_COMPACT);
    json_decref(own);
    REQUIRE(*counts);
    types[0] = WAL_STATE;
    parts[0] = (WalPart){ *counts, strlen(*counts) };
    for (int i = 0; i < count; i++) {
        types[1 + i] = WAL_FLOATS;
        parts[1 + i] = (WalPart){ floats[i].floats, floats_size(run) };
    }
    return 1 + count;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct Taker {
    Run *run;
    int before, seen; /* records in front of the state; that were seen */
    bool newer; /* than what the run has */
    bool taking; /* else it is only looked whether all is there */
} Taker;

static bool take_counts(Taker *taker, const void *payload, size_t size, Err *err)
{
    Run *run = taker->run;
    json_t *own = json_bytes(payload, size, "state of the run", err);
    if (!own)
        return false;
    bool ok = true;
    const int64_t version = json_get_int(json_object_get(own, "state"), "version", -1, err);
    const json_t *history = json_object_get(own, "log_history");
    taker->newer = version > run->state.version;
    if (!json_is_array(history) || version < 0) {
        ok = err_set(err, ERR_IO, "the write-ahead log does not say where its run was");
    } else if (taker->taking) {
        ok = resume_take_state(run, own, err) && resume_take_kept(run, own, err);
        json_decref(run->state.history);
        run->state.history = json_deep_copy(history);
    }
    json_decref(own);
    return ok;
}

static bool take(void *self, WalType type, const void *payload, size_t size, Err *err)
{
    Taker *taker = self;
    StorePart floats[STORE_PARTS + 1];
    const int count = parts_of(taker->run, floats), at = taker->seen++ - taker->before;
    if (at < 0)
        return true;
    if (at == 0 && type == WAL_STATE)
        return take_counts(taker, payload, size, err);
    if (at < 1 || at > count || type != WAL_FLOATS || size != floats_size(taker->run))
        return err_set(err, ERR_IO, "the write-ahead log goes on from a state of another run");
    if (taker->taking)
        memcpy(floats[at - 1].floats, payload, size);
    return true;
}

bool log_state_take(Run *run, const char *path, size_t most, int before, int count, Err *err)
{
    Taker look = { .run = run, .before = before }, taker = { .run = run, .before = before, .taking = true };
    if (!wal_peek(path, before + count, most, take, &look, err))
        return false;
    if (!look.newer || look.seen < before + count)
        return true;
    return wal_peek(path, before + count, most, take, &taker, err);
}
