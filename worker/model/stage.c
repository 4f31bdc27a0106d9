#include "worker/model/stage.h"

#include "common/base/mem.h"
#include "common/model/stored.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the deal of blocks ----------------------------------------------------------------------- */

/* What stages cost by one measure: of blocks [a, b) it is upto[b] - upto[a], besides what the ends of the model
 * add. */
typedef struct Shares {
    double *upto; /* [layers + 1] */
    double before, behind;
} Shares;

static bool is_behind(const Module *m)
{
    return m->layer < 0 &&
           (m->role == ROLE_FINAL_NORM || m->role == ROLE_POOLER || m->role == ROLE_HEAD_NORM || m->role == ROLE_HEAD);
}

/* memory: numbers that a stage holds; else: that a token is multiplied with. */
static Shares costs_of(const ModelArch *arch, bool memory)
{
    Shares c = { .upto = xcalloc((size_t)arch->layers + 1, sizeof *c.upto) };
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        const bool multiplies = m->kind == MODULE_LINEAR || m->kind == MODULE_CONV;
        const double cost = memory || multiplies ? (double)stored_count(m) : 0;
        if (m->layer >= 0)
            c.upto[m->layer + 1] += cost;
        else if (is_behind(m))
            c.behind += cost;
        else
            c.before += cost;
    }
    for (int64_t l = 0; l < arch->layers; l++)
        c.upto[l + 1] += c.upto[l];
    return c;
}

static double cost_of(const Shares *c, int64_t first, int64_t end, int64_t layers)
{
    return c->upto[end] - c->upto[first] + (first == 0 ? c->before : 0) + (end == layers ? c->behind : 0);
}

/* Deals [0, layers) to `count` stages so that the largest by `costs` is least, where none is above `limit` by
 * `limited`. Returns that cost. By dynamic programming over (stages, blocks). */
static double deal(int64_t *ends, const Shares *costs, const Shares *limited, double limit, int64_t layers, int count)
{
    const int64_t width = layers + 1;
    double *best = xcalloc((size_t)((count + 1) * width), sizeof *best);
    int64_t *from = xcalloc((size_t)((count + 1) * width), sizeof *from);
    for (int64_t b = 1; b <= layers; b++)
        best[b] = INFINITY;
    for (int s = 1; s <= count; s++)
        for (int64_t b = 0; b <= layers; b++) {
            double *least = &best[s * width + b];
            *least = INFINITY;
            for (int64_t a = s - 1; a < b; a++) {
                const double own = cost_of(costs, a, b, layers), most = fmax(best[(s - 1) * width + a], own);
                if (cost_of(limited, a, b, layers) <= limit && most < *least) {
                    *least = most;
                    from[s * width + b] = a;
                }
            }
        }
    const double least = best[count * width + layers];
    for (int64_t s = count, b = layers; s > 0; s--) {
        ends[s - 1] = b;
        b = from[s * width + b];
    }
    free(best);
    free(from);
    return least;
}

void stage_split(int64_t *ends, const ModelArch *arch, int count)
{
    Shares memory = costs_of(arch, true), time = costs_of(arch, false);
    const double slack = 1.2, exactly = 1 + 1e-9;
    const double least = deal(ends, &memory, &memory, INFINITY, arch->layers, count);
    const double fastest = deal(ends, &time, &memory, least * slack, arch->layers, count);
    deal(ends, &memory, &time, fastest * exactly, arch->layers, count);
    free(memory.upto);
    free(time.upto);
}

/* ---- which tensors ------------------------------------------------------------------------------ */

bool stage_shares(const Module *m)
{
    return m->role == ROLE_SCORE_TABLE || m->role == ROLE_DISTANCE || m->role == ROLE_DISTANCE_NORM;
}

bool stage_holds(const Stage *stage, const Module *m)
{
    if (stage_shares(m))
        return true;
    if (m->layer >= 0)
        return m->layer >= stage->first && m->layer < stage->end;
    return is_behind(m) ? stage_is_last(stage) : stage_is_first(stage);
}

/* Slots [count] that train something of the module; indices, -1: none. */
enum { MODULE_SLOTS = 8 };
static void slots_of(int slots[MODULE_SLOTS], const ModuleSlots *m)
{
    const int all[MODULE_SLOTS] = { m->a, m->b, m->e, m->lora_bias, m->magnitude, m->bias, m->weight, m->tokens };
    memcpy(slots, all, sizeof all);
}

static bool refuse_shared(const SlotTable *table, int slot, Err *err)
{
    err_set(err, ERR_INPUT, "'%s' is trained in the word table and in the head that is tied to it",
            table->slots[slot].name);
    err_at(err, "parallel.pipeline");
    return err_hint(err, "the first stage has the one, the last the other: take parallel.pipeline: 1, or leave it out "
                         "of what is trained");
}

static bool refuse_everywhere(const Module *m, Err *err)
{
    err_set(err, ERR_INPUT, "'%s' is trained, and all stages of a pipeline have it", m->path);
    err_at(err, "parallel.pipeline");
    return err_hint(err, "take parallel.pipeline: 1, or leave it out of what is trained");
}

/* which[slot]: 1: mine, 2: another stage's. */
static bool find_owned(char *which, const Stage *stage, const ModelArch *arch, const SlotTable *table, Err *err)
{
    for (int i = 0; i < arch->module_count; i++) {
        const char owner = stage_holds(stage, &arch->modules[i]) ? 1 : 2;
        int slots[MODULE_SLOTS];
        slots_of(slots, &table->modules[i]);
        for (int k = 0; k < MODULE_SLOTS; k++) {
            if (slots[k] < 0)
                continue;
            if (stage_shares(&arch->modules[i]))
                return refuse_everywhere(&arch->modules[i], err);
            if (which[slots[k]] && which[slots[k]] != owner)
                return refuse_shared(table, slots[k], err);
            which[slots[k]] = owner;
        }
    }
    return true;
}

/* Floats of a slot with the padding behind it: where the next one begins. */
static int64_t room_of(const SlotTable *table, int slot)
{
    const int64_t next = slot + 1 < table->count ? table->slots[slot + 1].offset : table->size;
    return next - table->slots[slot].offset;
}

static bool place_slots(Stage *stage, const ModelArch *arch, const SlotTable *table, Err *err)
{
    char *which = xcalloc((size_t)table->count + 1, 1);
    const bool ok = stage->count == 1 || find_owned(which, stage, arch, table, err);
    stage->at = xcalloc((size_t)table->count + 1, sizeof *stage->at);
    for (int i = 0; ok && i < table->count; i++) {
        const bool mine = stage->count == 1 || which[i] == 1;
        stage->at[i] = mine ? stage->size : -1;
        stage->size += mine ? room_of(table, i) : 0;
    }
    free(which);
    return ok;
}

/* ---- life ------------------------------------------------------------------------------------------ */

bool stage_init(Stage *stage, const ModelArch *arch, const SlotTable *table, int index, int count, Err *err)
{
    REQUIRE(index >= 0 && index < count);
    *stage = (Stage){ .index = index, .count = count, .end = arch->layers };
    if (count > arch->layers) {
        err_set(err, ERR_INPUT, "the model has %lld blocks, not enough for %d stages", (long long)arch->layers, count);
        err_at(err, "parallel.pipeline");
        return err_hint(err, "a stage holds a block at least: take %lld or fewer", (long long)arch->layers);
    }
    if (count > 1 && arch->source_layers > 0) {
        err_set(err, ERR_INPUT,
                "a model of two stacks (model_type '%s') is not cut into stages: all blocks that write read "
                "what the others give",
                arch->family->model_type);
        err_at(err, "parallel.pipeline");
        return err_hint(err, "take parallel.pipeline: 1");
    }
    if (count > 1 && arch->physical) {
        err_set(err, ERR_INPUT,
                "layers of a model of type '%s' run the same weights: they cannot lie in several stages",
                arch->family->model_type);
        err_at(err, "parallel.pipeline");
        return err_hint(err, "take parallel.pipeline: 1");
    }
    if (count > 1) {
        int64_t *ends = xcalloc((size_t)count, sizeof *ends);
        stage_split(ends, arch, count);
        stage->first = index > 0 ? ends[index - 1] : 0;
        stage->end = ends[index];
        free(ends);
    }
    if (place_slots(stage, arch, table, err))
        return true;
    stage_release(stage);
    return false;
}

void stage_release(Stage *stage)
{
    free(stage->at);
    *stage = (Stage){ 0 };
}

void stage_take(const Stage *stage, const SlotTable *table, float *part, const float *all)
{
    for (int i = 0; i < table->count; i++)
        if (stage->at[i] >= 0)
            memcpy(part + stage->at[i], all + table->slots[i].offset, (size_t)room_of(table, i) * sizeof *part);
}

void stage_put(const Stage *stage, const SlotTable *table, float *all, const float *part)
{
    for (int i = 0; i < table->count; i++)
        if (stage->at[i] >= 0)
            memcpy(all + table->slots[i].offset, part + stage->at[i], (size_t)room_of(table, i) * sizeof *all);
}
