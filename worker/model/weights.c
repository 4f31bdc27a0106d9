#include "worker/model/weights.h"

#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/model/base.h"
#include "common/model/stored.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 }; /* bytes */

/* ---- layout ------------------------------------------------------------------------ */

static void place(int64_t *at, int64_t *offset, int64_t bytes)
{
    *offset = *at;
    *at += bytes;
}

static int64_t weight_bytes(const Weights *w, int module)
{
    return frozen_bytes(w->modules[module].kind, stored_count(&w->arch->modules[module]), 1);
}

static int64_t bias_bytes(const Module *m)
{
    return m->out * (int64_t)sizeof(float);
}

static int64_t aligned(int64_t at)
{
    return (at + ALIGN - 1) / ALIGN * ALIGN;
}

/* Modules that are one product: their weights one behind the other, then their biases. */
typedef struct Neighbours {
    Role roles[3];
    int count;
} Neighbours;

static const Neighbours qkv = { { ROLE_Q, ROLE_K, ROLE_V }, 3 };
static const Neighbours gate_up = { { ROLE_FF_GATE, ROLE_FF_UP }, 2 };

static void place_group(Weights *w, int64_t *at, int layer, const Neighbours *group)
{
    const int first = arch_module_index(w->arch, layer, group->roles[0]);
    *at = aligned(*at);
    for (int i = 0; i < group->count; i++) {
        const int m = arch_module_index(w->arch, layer, group->roles[i]);
        place(at, &w->modules[m].weight, weight_bytes(w, m));
    }
    *at = aligned(*at);
    for (int i = 0; i < group->count; i++) {
        const int m = arch_module_index(w->arch, layer, group->roles[i]);
        w->modules[m].bias = -1;
        REQUIRE(w->arch->modules[m].bias == w->arch->modules[first].bias); /* all or none */
        if (w->arch->modules[m].bias)
            place(at, &w->modules[m].bias, bias_bytes(&w->arch->modules[m]));
    }
}

static bool is_held(const Weights *w, const Module *m)
{
    return !w->stage || stage_holds(w->stage, m);
}

/* A tied head that has the table's place. */
static bool shares_table(const Weights *w, const Module *m, const SafeTensors *files)
{
    return is_held(w, arch_module(w->arch, -1, ROLE_WORD)) && stored_is_tied(files, w->arch, m);
}

static void lay_out(Weights *w, const SafeTensors *files)
{
    const ModelArch *arch = w->arch;
    int64_t at = 0;
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        WeightSpan *span = &w->modules[i];
        if (!is_held(w, m)) {
            span->weight = span->bias = -1;
            continue;
        }
        if (m->role == ROLE_K || m->role == ROLE_V || (m->role == ROLE_FF_UP && arch->gated))
            continue; /* in their groups */
        if (m->role == ROLE_Q || m->role == ROLE_FF_GATE) {
            place_group(w, &at, m->layer, m->role == ROLE_Q ? &qkv : &gate_up);
            continue;
        }
        span->bias = -1;
        if (m->tied && shares_table(w, m, files)) {
            span->weight = w->modules[arch_module_index(arch, -1, ROLE_WORD)].weight;
            continue;
        }
        at = aligned(at);
        place(&at, &span->weight, weight_bytes(w, i));
        at = aligned(at);
        if (m->bias)
            place(&at, &span->bias, bias_bytes(m));
    }
    w->bytes = aligned(at);
}

static bool plan(Weights *w, const ModelArch *arch, const Stage *stage, const SafeTensors *files, Err *err)
{
    *w = (Weights){ .arch = arch, .stage = stage, .modules = xcalloc((size_t)arch->module_count, sizeof *w->modules) };
    if (!base_check(arch, files, err)) {
        weights_release(w);
        return false;
    }
    lay_out(w, files);
    return true;
}

bool weights_plan(Weights *w, const ModelArch *arch, const SafeTensors *files, Err *err)
{
    return plan(w, arch, NULL, files, err);
}

bool weights_plan_beside(Weights *w, const SlotTable *table, const Stage *stage, const SafeTensors *files, Err *err)
{
    if (!plan(w, table->arch, stage, files, err))
        return false;
    for (int i = 0; table->whole && i < w->arch->module_count; i++)
        w->modules[i].weight = w->modules[i].bias = -1;
    w->bytes = table->whole ? 0 : w->bytes;
    return true;
}

void weights_release(Weights *w)
{
    free(w->modules);
    *w = (Weights){ 0 };
}

/* ---- loading ------------------------------------------------------------------------- */

/* out[begin, end) of a matrix [O,I] that the file holds as [I,O]: elements are counted
 * in the order of out. A few rows at a time, so that both sides stay in the cache. */
static bool load_transposed(float *out, const TensorView *t, int64_t I, int64_t begin, int64_t end, Err *err)
{
    enum { ROWS = 64 };
    float column[ROWS];
    const int64_t O = t->count / I, last = (end - 1) / I;
    for (int64_t o = begin / I; o <= last; o += ROWS) {
        const int64_t rows = last - o + 1 < ROWS ? last - o + 1 : ROWS;
        for (int64_t i = 0; i < I; i++) {
            if (!tensor_to_f32(column, t, i * O + o, rows, err))
                return false;
            for (int64_t r = 0; r < rows; r++) {
                const int64_t at = (o + r) * I + i;
                if (at >= begin && at < end)
                    out[at] = column[r];
            }
        }
    }
    return true;
}

static float *floats_at(const Weights *w, int64_t offset)
{
    return (float *)((char *)w->data + offset);
}

/* A damaged file, or a model whose training diverged: no answer and no gradient of it would be one. */
static bool check_finite(const float *values, int64_t from, int64_t to, const TensorView *t, int64_t transposed_in,
                         Err *err)
{
    const int64_t at = from + maths_not_finite(values + from, to - from), I = transposed_in;
    if (at == to)
        return true;
    const int64_t in_file = I > 0 ? at % I * (t->count / I) + at / I : at;
    err_set(err, ERR_TRAINING, "'%s' holds values that are not finite: number %lld is %g", t->name, (long long)in_file,
            (double)values[at]);
    err_hint(err, "the file is damaged, or the model's training diverged: take another copy or an earlier state of it");
    return err_at(err, "%s", t->file);
}

/* The bytes [begin, end) of the block, as far as they lie in this tensor's place: whole floats. */
static bool load_tensor(Weights *w, const TensorView *t, int64_t offset, int64_t count, int64_t transposed_in,
                        int64_t begin, int64_t end, Err *err)
{
    const int64_t size = sizeof(float), last = offset + count * size;
    const int64_t from = ((offset > begin ? offset : begin) - offset) / size;
    const int64_t to = ((last < end ? last : end) - offset) / size;
    if (from >= to)
        return true;
    float *out = floats_at(w, offset);
    w->read += t ? (to - from) * dtype_bytes(t->dtype) : 0;
    if (t)
        return (transposed_in > 0 ? load_transposed(out, t, transposed_in, from, to, err)
                                  : tensor_to_f32(out + from, t, from, to - from, err)) &&
               check_finite(out, from, to, t, transposed_in, err);
    memset(out + from, 0, (size_t)(to - from) * sizeof *out);
    return true;
}

/* Where a part begins: at a whole line of the cache. */
static int64_t part_begin(const Weights *w, int part, int parts)
{
    return w->bytes / ALIGN * part / parts * ALIGN;
}

bool weights_load(Weights *w, const SafeTensors *files, int part, int parts, Err *err)
{
    if (w->bytes == 0)
        return true;
    REQUIRE(w->data && part >= 0 && part < parts);
    const int64_t begin = part_begin(w, part, parts), end = part_begin(w, part + 1, parts);
    const int word = arch_module_index(w->arch, -1, ROLE_WORD); /* -1: images */
    for (int i = 0; i < w->arch->module_count; i++) {
        const Module *m = &w->arch->modules[i];
        const WeightSpan *at = &w->modules[i];
        if (!is_held(w, m) || (m->tied && at->weight == w->modules[word].weight))
            continue;
        if (!load_tensor(w, stored_source(files, w->arch, m, false), at->weight, stored_count(m),
                         m->transposed ? m->in : 0, begin, end, err))
            return false;
        if (m->bias && !load_tensor(w, stored_find(files, w->arch, m, true), at->bias, m->out, 0, begin, end, err))
            return false;
    }
    return true;
}

/* owner[tensors]: the module that reads each, -1: none. */
static void find_owners(int *owner, const ModelArch *arch, const SafeTensors *files)
{
    const TensorView *first = safetensors_at(files, 0);
    for (int64_t t = 0; t < safetensors_count(files); t++)
        owner[t] = -1;
    for (int i = arch->module_count - 1; i >= 0; i--)
        for (int bias = 0; bias < 2; bias++) {
            const TensorView *t = stored_find(files, arch, &arch->modules[i], bias);
            if (t)
                owner[t - first] = i;
        }
}

uint64_t weights_digest(Weights *w, const SafeTensors *files, int part, int parts)
{
    const int64_t count = safetensors_count(files);
    int *owner = xcalloc((size_t)count + 1, sizeof *owner);
    uint64_t digest = 0;
    int64_t mine = 0;
    if (count > 0)
        find_owners(owner, w->arch, files);
    for (int64_t t = 0; t < count; t++) {
        const bool held =
            owner[t] >= 0 ? is_held(w, &w->arch->modules[owner[t]]) : !w->stage || stage_is_first(w->stage);
        if (!held || mine++ % parts != part)
            continue;
        digest += safetensors_digest_at(files, t);
        w->read += owner[t] < 0 ? safetensors_at(files, t)->bytes : 0; /* others are loaded */
    }
    free(owner);
    return digest;
}

Frozen weights_frozen(const Weights *w, int module)
{
    const Module *m = &w->arch->modules[module];
    const WeightSpan *span = &w->modules[module];
    return (Frozen){ .kind = span->kind,
                     .data = span->weight < 0 ? NULL : (const char *)w->data + span->weight,
                     .out = m->out,
                     .in = m->kind == MODULE_NORM ? 1 : m->in };
}

const float *weights_weight(const Weights *w, int module)
{
    const Frozen weight = weights_frozen(w, module);
    return frozen_floats(&weight);
}

const float *weights_bias(const Weights *w, int module)
{
    const int64_t at = w->modules[module].bias;
    return at < 0 ? NULL : floats_at(w, at);
}

float *weights_room(const Weights *w, int module)
{
    REQUIRE(w->data && w->modules[module].kind == FROZEN_F32);
    return floats_at(w, w->modules[module].weight);
}
