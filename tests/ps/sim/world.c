#include "tests/ps/sim/world.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/tensor/safetensors.h"

#include "tests/ps/sim/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- what is right --------------------------------------------------------------------------- */

static uint64_t digest(const World *world, const float *values)
{
    return digest_fast(values, (size_t)world->size * sizeof *values);
}

static float as_sum(const World *world, float x)
{
    if (world->dtype == WIRE_FP32)
        return x;
    const uint32_t bits = (uint32_t)tensor_bf16(x) << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

void world_leaf(const World *world, const float *values, int64_t step, int64_t m, float out[WORLD_SIZE], double *loss)
{
    const RngKey key = rng_key(world->mode == PS_SYNC ? digest(world, values) : 0, step, m, 1);
    for (int64_t i = 0; i < world->size; i++)
        out[i] = as_sum(world, rng_uniform(key, (uint32_t)i) - 0.5F);
    *loss = (double)rng_uniform(key, 99);
}

double world_chunk(const World *world, const float *values, int64_t version, int64_t chunk)
{
    return (double)rng_uniform(rng_key(digest(world, values), version, chunk, 2), 0);
}

void world_node(const World *world, const float *values, int64_t step, Range node, float out[WORLD_SIZE], double *loss)
{
    const int64_t n = node.end - node.begin;
    if (n == 1) {
        world_leaf(world, values, step, node.begin, out, loss);
        return;
    }
    int64_t half = 1;
    while (2 * half < n)
        half *= 2;
    float right[WORLD_SIZE];
    double more;
    world_node(world, values, step, (Range){ node.begin, node.begin + half }, out, loss);
    world_node(world, values, step, (Range){ node.begin + half, node.end }, right, &more);
    for (int64_t i = 0; i < world->size; i++)
        out[i] = as_sum(world, out[i] + right[i]);
    *loss += more;
}

static void step_values(const World *world, float *values, const float *gradient)
{
    for (int64_t i = 0; i < world->size; i++)
        values[i] -= 0.1F * gradient[i];
}

/* Computed once for each dtype, M and size, and kept. */
void world_values_at(const World *world, int64_t version, float out[WORLD_SIZE])
{
    static _Thread_local struct {
        float values[WORLD_STEPS + 1][WORLD_SIZE];
        int64_t known;
    } of[4][32][WORLD_SIZE + 1];
    SIM_CHECK(world->M < 32 && version <= WORLD_STEPS && world->mode != PS_ASYNC);
    const int64_t M = world->M, size = world->size,
                  d = world->dtype == WIRE_BF16 ? 1 + 2 * (world->mode == PS_SSP) : 2 * (world->mode == PS_SSP);
    for (; of[d][M][size].known < version; of[d][M][size].known++) {
        const int64_t v = of[d][M][size].known;
        float *next = of[d][M][size].values[v + 1], gradient[WORLD_SIZE];
        double loss;
        world_node(world, of[d][M][size].values[v], v, (Range){ 0, M }, gradient, &loss);
        memcpy(next, of[d][M][size].values[v], sizeof of[d][M][size].values[v]);
        step_values(world, next, gradient);
    }
    memcpy(out, of[d][M][size].values[version], sizeof of[d][M][size].values[version]);
}

/* ---- the log --------------------------------------------------------------------------------- */

static void record(World *world, WalType type, const WalPart *parts, int count, bool sync)
{
    Err err = { 0 };
    SIM_CHECK(wal_append(&world->wal, type, parts, count, &err));
    if (!sync)
        return;
    SIM_CHECK(wal_sync(&world->wal, &err));
    world->synced = world->wal.size;
    world->synced_version = world->version;
}

/* What a log that was cut goes on from. */
typedef struct State {
    int64_t version, evaluated_at, evaluations;
    float values[WORLD_SIZE];
    bool done[WORLD_STEPS];
} State;

static void take_state(World *world, const void *payload, size_t size)
{
    State state;
    SIM_CHECK(size == sizeof state);
    memcpy(&state, payload, size);
    world->version = world->base = state.version;
    world->evaluated_at = state.evaluated_at;
    world->evaluations = state.evaluations;
    memcpy(world->values, state.values, sizeof state.values);
    memcpy(world->done, state.done, sizeof state.done);
}

/* As ps/save does: the log anew, with the state in front. */
static void cut(World *world)
{
    State state = { world->version, world->evaluated_at, world->evaluations, { 0 }, { 0 } };
    Err err = { 0 };
    const int64_t zero = 0;
    const WalType types[] = { WAL_HEADER, WAL_BEGIN, WAL_STATE };
    const WalPart parts[] = { { &zero, sizeof zero }, { &world->M, sizeof world->M }, { &state, sizeof state } };
    memcpy(state.values, world->values, sizeof state.values);
    memcpy(state.done, world->done, sizeof state.done);
    SIM_CHECK(wal_start(&world->wal, world->path, types, parts, 3, &err));
    world->base = world->synced_version = world->version;
    world->synced = world->wal.size;
}

/* From a step's examples, once. */
static void learn(World *world, int64_t batch)
{
    SIM_CHECK(batch >= 0 && batch < world->steps && !world->done[batch]);
    SIM_CHECK(world->mode == PS_ASYNC || batch == world->version);
    world->done[batch] = true;
}

static bool visit(void *self, WalType type, const void *payload, size_t size, Err *err)
{
    World *world = self;
    int64_t number;
    (void)err;
    memcpy(&number, payload, sizeof number);
    if (type == WAL_BEGIN) {
        world->begun = true;
    } else if (type == WAL_STEP) {
        float gradient[WORLD_SIZE];
        int64_t batch;
        SIM_CHECK(number == world->version);
        SIM_CHECK(size == sizeof number + sizeof batch + (size_t)world->size * sizeof *gradient);
        memcpy(&batch, (const char *)payload + sizeof number, sizeof batch);
        memcpy(gradient, (const char *)payload + sizeof number + sizeof batch, (size_t)world->size * sizeof *gradient);
        learn(world, batch);
        step_values(world, world->values, gradient);
        world->version++;
    } else if (type == WAL_STATE) {
        take_state(world, payload, size);
    } else if (type == WAL_EVAL) {
        world->evaluated_at = number;
        world->evaluations++;
    }
    return true;
}

static void forget(World *world)
{
    memset(world->values, 0, sizeof world->values);
    memset(world->done, 0, sizeof world->done);
    world->version = world->base = world->evaluations = 0;
    world->evaluated_at = -1;
    world->begun = false;
}

void world_open(World *world)
{
    Err err = { 0 };
    static _Atomic int number;
    snprintf(world->path, sizeof world->path, "%s/lora-sim-%d-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (int)getpid(), number++);
    world->wal = WAL_CLOSED;
    forget(world);
    const WalType head = WAL_HEADER;
    const int64_t zero = 0;
    SIM_CHECK(wal_start(&world->wal, world->path, &head, &(WalPart){ &zero, sizeof zero }, 1, &err));
    world->synced = world->wal.size;
}

void world_crash(World *world, bool power, double keep)
{
    const int64_t left = power ? world->synced + (int64_t)(keep * (double)(world->wal.size - world->synced)) : 0;
    if (!power)
        world->synced_version = world->whole_version;
    wal_close(&world->wal);
    if (power)
        SIM_CHECK(truncate(world->path, (off_t)left) == 0);
}

/* Steps that are made in their order give known values. */
static void check_values(const World *world)
{
    float right[WORLD_SIZE];
    if (world->mode == PS_ASYNC)
        return;
    world_values_at(world, world->version, right);
    SIM_CHECK(memcmp(world->values, right, (size_t)world->size * sizeof *right) == 0);
}

void world_restart(World *world)
{
    Err err = { 0 };
    forget(world);
    SIM_CHECK(wal_open(&world->wal, world->path, 4096, visit, world, &err));
    check_values(world);
    SIM_CHECK(world->log_steps == 0 || world->version - world->base <= world->log_steps);
    SIM_CHECK(world->version >= world->synced_version); /* every step that was durable is there */
    world->synced = world->wal.size; /* what was read was on the disk */
    world->whole_version = world->synced_version = world->version;
}

void world_close(World *world)
{
    wal_close(&world->wal);
    unlink(world->path);
}

/* ---- what the core asks ---------------------------------------------------------------------- */

static int64_t begin(void *self, const HelloFacts *facts, int64_t replicas, uint64_t *plan)
{
    World *world = self;
    SIM_CHECK(replicas > 0 && facts->data_digest == 1);
    *plan = world->plan;
    if (!world->begun)
        record(world, WAL_BEGIN, &(WalPart){ &world->M, sizeof world->M }, 1, true);
    world->begun = true;
    return world->M;
}

static const char *arithmetic(void *self, bool *begun)
{
    *begun = ((World *)self)->begun;
    return NULL;
}

static char *differs(void *self, const Msg *hello, const HelloFacts *first)
{
    (void)self;
    (void)first;
    return hello->facts.data_digest == 1 ? NULL : xstrdup("other data");
}

static const char *run_text(void *self)
{
    (void)self;
    return "run: 1\n";
}

/* Each micro-batch entered the sum once, computed at this version's values: else other bits. */
static bool apply(void *self, const StepSums *sums, int *code, const char **text)
{
    World *world = self;
    float right[WORLD_SIZE];
    double loss;
    (void)code;
    (void)text;
    SIM_CHECK(sums->step == world->version);
    SIM_CHECK(sums->behind >= 0 && (world->mode != PS_SYNC || sums->behind == 0));
    SIM_CHECK(world->mode != PS_SSP || sums->behind <= (double)world->staleness);
    learn(world, sums->batch);
    world_node(world, world->values, sums->batch, (Range){ 0, world->M }, right, &loss);
    SIM_CHECK(memcmp(right, sums->gradient, (size_t)world->size * sizeof *right) == 0);
    SIM_CHECK(memcmp(&loss, &sums->loss, sizeof loss) == 0);
    SIM_CHECK(sums->weight == (double)world->M);
    const int64_t numbers[] = { sums->step, sums->batch };
    const WalPart parts[] = { { numbers, sizeof numbers },
                              { sums->gradient, (size_t)world->size * sizeof *sums->gradient } };
    world->version++;
    record(world, WAL_STEP, parts, 2, (sums->step + 1) % world->durable_every == 0);
    world->whole_version = world->version;
    step_values(world, world->values, sums->gradient);
    check_values(world);
    return true;
}

static int64_t until(void *self, int64_t version)
{
    const World *world = self;
    const int64_t eval = world->every > 0 ? version - version % world->every + world->every : world->steps;
    return eval < world->steps ? eval : world->steps;
}

static LeaseKind next(void *self, int64_t version, int *code, const char **text)
{
    World *world = self;
    (void)text;
    *code = 0;
    SIM_CHECK(version == world->version);
    if (version > 0 && world->every > 0 && version % world->every == 0 && world->evaluated_at != version) {
        for (int64_t i = 0; i < version; i++) /* a version that was made by the steps before it, and no other */
            SIM_CHECK(world->done[i]);
        return LEASE_EVAL;
    }
    if (world->log_steps > 0 && version < world->steps && version - world->base >= world->log_steps)
        cut(world);
    return version == world->steps ? LEASE_STOP : LEASE_TRAIN;
}

static void evaluated(void *self, int64_t version, const double *const *sums, const int64_t *sizes, int64_t chunks)
{
    World *world = self;
    SIM_CHECK(version == world->version);
    SIM_CHECK(chunks == WORLD_CHUNKS);
    for (int64_t i = 0; i < chunks; i++) {
        const double right = world_chunk(world, world->values, version, i);
        SIM_CHECK(sizes[i] == 1);
        SIM_CHECK(memcmp(sums[i], &right, sizeof right) == 0);
    }
    record(world, WAL_EVAL, &(WalPart){ &version, sizeof version }, 1, true);
    world->evaluated_at = version;
    world->evaluations++;
}

static const float *values(void *self)
{
    return ((World *)self)->values;
}

int world_missing(const World *world, int64_t out[WORLD_STEPS])
{
    int64_t last = WORLD_STEPS;
    int count = 0;
    while (last > 0 && !world->done[last - 1])
        last--;
    for (int64_t i = 0; i < last; i++)
        if (!world->done[i])
            out[count++] = i;
    return count;
}

CoreWorld world_table(World *world)
{
    return (CoreWorld){ world, begin, arithmetic, differs, run_text, apply, next, until, evaluated, values, NULL };
}
