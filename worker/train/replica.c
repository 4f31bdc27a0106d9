#include "worker/train/replica.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Kinds of messages; those of flights.c are others. */
enum { LEASE = 11, VALUES, REPORT, GRADIENT, CHUNKS };

static size_t bytes_of(const Stage *stage)
{
    return (size_t)stage->size * sizeof(float);
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static bool open_leader(Replica *r, const ModelArch *arch, Err *err)
{
    int64_t most = 1;
    r->stages = xcalloc((size_t)r->lane->size, sizeof *r->stages);
    for (int s = 0; s < r->lane->size; s++) {
        if (!stage_init(&r->stages[s], arch, r->table, s, r->lane->size, err))
            return false;
        most = r->stages[s].size > most ? r->stages[s].size : most;
    }
    const size_t whole = (size_t)r->table->size * sizeof(float);
    r->part = mem_alloc((size_t)most * sizeof(float), err);
    r->values = mem_alloc(whole, err);
    r->gradient = mem_alloc(whole, err);
    return r->part && r->values && r->gradient;
}

bool replica_open(Replica *r, const Group *lane, const ModelArch *arch, const SlotTable *table, Err *err)
{
    *r = (Replica){ .lane = lane->size > 1 ? lane : NULL, .table = table };
    return !r->lane || lane->rank != 0 || open_leader(r, arch, err);
}

void replica_release(Replica *r)
{
    for (int s = 0; r->stages && s < r->lane->size; s++)
        stage_release(&r->stages[s]);
    free(r->stages);
    free(r->part);
    free(r->values);
    free(r->gradient);
    *r = (Replica){ 0 };
}

/* ---- a round ----------------------------------------------------------------------------------------------- */

typedef struct LeaseMessage {
    Lease lease;
    bool fresh;
} LeaseMessage;

void replica_lease(Replica *r, const Stage *stage, Lease *lease, bool fresh, float *values)
{
    LeaseMessage message = { *lease, fresh };
    if (!r->lane)
        return;
    if (r->lane->rank > 0) {
        group_take(r->lane, 0, LEASE, &message, sizeof message);
        *lease = message.lease;
        if (message.fresh)
            group_take(r->lane, 0, VALUES, values, bytes_of(stage));
        return;
    }
    for (int s = 1; s < r->lane->size; s++) {
        group_give(r->lane, s, LEASE, &message, sizeof message);
        if (!fresh)
            continue;
        stage_take(&r->stages[s], r->table, r->part, r->values);
        group_give(r->lane, s, VALUES, r->part, bytes_of(&r->stages[s]));
    }
    if (fresh)
        stage_take(stage, r->table, values, r->values);
}

void replica_report(const Replica *r, const ReplicaReport *report)
{
    group_give(r->lane, 0, REPORT, report, sizeof *report);
}

void replica_give(const Replica *r, const Stage *stage, const float *gradient)
{
    group_give(r->lane, 0, GRADIENT, gradient, bytes_of(stage));
}

/* Where a stage has failed, what the others have made is of no use. */
static void drop(const Replica *r, const int *counts)
{
    for (int s = 1; s < r->lane->size; s++)
        for (int i = 0; i < counts[s]; i++)
            group_take(r->lane, s, GRADIENT, r->part, bytes_of(&r->stages[s]));
}

static void add_report(ReplicaReport *all, const ReplicaReport *other)
{
    all->memory += other->memory;
    if (all->failure.kind == ERR_NONE)
        all->failure = other->failure;
    if (all->failure.kind != ERR_NONE)
        return;
    REQUIRE(other->count == all->count);
    for (int i = 0; i < other->count; i++) {
        const Range mine = all->sums[i].range, its = other->sums[i].range;
        REQUIRE(its.begin == mine.begin && its.end == mine.end);
        all->sums[i].loss = other->sums[i].loss;
        all->sums[i].weight = other->sums[i].weight;
    }
}

void replica_collect(const Replica *r, ReplicaReport *report)
{
    if (!r->lane)
        return;
    int *counts = xcalloc((size_t)r->lane->size, sizeof *counts);
    for (int s = 1; s < r->lane->size; s++) {
        ReplicaReport other;
        group_take(r->lane, s, REPORT, &other, sizeof other);
        counts[s] = other.count;
        add_report(report, &other);
    }
    if (report->failure.kind != ERR_NONE)
        drop(r, counts);
    free(counts);
}

const float *replica_join(Replica *r, const float *grad)
{
    if (!r->lane)
        return grad;
    stage_put(&r->stages[0], r->table, r->gradient, grad);
    for (int s = 1; s < r->lane->size; s++) {
        group_take(r->lane, s, GRADIENT, r->part, bytes_of(&r->stages[s]));
        stage_put(&r->stages[s], r->table, r->gradient, r->part);
    }
    return r->gradient;
}

void replica_give_chunks(const Replica *r, const void *bytes, size_t size)
{
    group_give(r->lane, 0, CHUNKS, bytes, size);
}

void replica_take_chunks(const Replica *r, void *bytes, size_t size)
{
    group_take(r->lane, r->lane->size - 1, CHUNKS, bytes, size);
}
