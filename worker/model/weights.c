#include "worker/model/weights.h"

#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/model/base.h"
#include "common/model/stored.h"
#include "common/tensor/quant.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 }; /* bytes */

/* ---- kinds -------------------------------------------------------------------------- */

static bool is_matrix(const Module *m)
{
    return m->kind == MODULE_LINEAR || m->kind == MODULE_CONV || m->role == ROLE_WORD;
}

/* What bitsandbytes leaves as it is: words, the output, and what is no linear. */
static bool is_coarse(const Module *m)
{
    return m->kind == MODULE_LINEAR && m->role != ROLE_HEAD;
}

/* Heads that begin with a run, and what is trained whole, are seen as floats. */
static FrozenKind kind_of(const Module *m, bool trained, Precision precision)
{
    const bool head = m->role == ROLE_HEAD && !m->tied && m->is_new;
    if (precision == PRECISION_FP32 || !is_matrix(m) || head || trained)
        return FROZEN_F32;
    if (precision == PRECISION_BF16 || !is_coarse(m))
        return FROZEN_BF16;
    return precision == PRECISION_INT8 ? FROZEN_INT8 : FROZEN_NF4_DOUBLE;
}

static void choose_kinds(Weights *w, const SlotTable *table, Precision precision)
{
    for (int i = 0; i < w->arch->module_count; i++) {
        const bool trained = table && table->modules[i].weight >= 0;
        w->modules[i].kind = kind_of(&w->arch->modules[i], trained, precision);
    }
}

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

static void place_scales(Weights *w, int64_t *at, int module)
{
    const Module *m = &w->arch->modules[module];
    WeightSpan *span = &w->modules[module];
    const int64_t size = sizeof(float), count = stored_count(m);
    span->scales = span->codes = -1;
    if (span->kind == FROZEN_F32 || span->kind == FROZEN_BF16)
        return;
    *at = aligned(*at);
    if (span->kind == FROZEN_INT8)
        place(at, &span->scales, m->out * size);
    else if (span->kind == FROZEN_NF4)
        place(at, &span->scales, nf4_blocks(count) * size);
    else {
        place(at, &span->scales, (1 + nf4_nested(count)) * size);
        place(at, &span->codes, nf4_blocks(count));
    }
}

int64_t weights_module_bytes(const Module *m, bool trained, Precision precision)
{
    const FrozenKind kind = kind_of(m, trained, precision);
    const int64_t count = stored_count(m), data = frozen_bytes(kind, count, 1), size = sizeof(float);
    if (kind == FROZEN_INT8)
        return data + m->out * size;
    return kind == FROZEN_NF4_DOUBLE ? data + (1 + nf4_nested(count)) * size + nf4_blocks(count) : data;
}

/* Modules that are one product: their weights one behind the other, then their scales, then their biases. */
typedef struct Neighbours {
    Role roles[3];
    int count;
} Neighbours;

static const Neighbours qkv = { { ROLE_Q, ROLE_K, ROLE_V }, 3 };
static const Neighbours cross_kv = { { ROLE_CROSS_K, ROLE_CROSS_V }, 2 };
static const Neighbours gate_up = { { ROLE_FF_GATE, ROLE_FF_UP }, 2 };

static void place_group(Weights *w, int64_t *at, int layer, const Neighbours *group)
{
    const int first = arch_module_index(w->arch, layer, group->roles[0]);
    int modules[3];
    *at = aligned(*at);
    for (int i = 0; i < group->count; i++) {
        modules[i] = arch_module_index(w->arch, layer, group->roles[i]);
        if (w->modules[modules[i]].kind != FROZEN_F32)
            *at = aligned(*at);
        place(at, &w->modules[modules[i]].weight, weight_bytes(w, modules[i]));
    }
    for (int i = 0; i < group->count; i++)
        place_scales(w, at, modules[i]);
    *at = aligned(*at);
    for (int i = 0; i < group->count; i++) {
        const int m = modules[i];
        w->modules[m].bias = -1;
        REQUIRE(w->arch->modules[m].bias == w->arch->modules[first].bias); /* all or none */
        if (w->arch->modules[m].bias)
            place(at, &w->modules[m].bias, bias_bytes(&w->arch->modules[m]));
    }
}

/* The group that begins with the module; NULL: none does. */
static const Neighbours *group_of(const Module *m)
{
    return m->role == ROLE_Q ? &qkv : m->role == ROLE_CROSS_K ? &cross_kv : m->role == ROLE_FF_GATE ? &gate_up : NULL;
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
            span->weight = span->bias = span->scales = span->codes = -1;
            continue;
        }
        if (m->role == ROLE_K || m->role == ROLE_V || m->role == ROLE_CROSS_V || (m->role == ROLE_FF_UP && arch->gated))
            continue; /* in their groups */
        if (group_of(m)) {
            place_group(w, &at, m->layer, group_of(m));
            continue;
        }
        span->bias = -1;
        if (m->tied && shares_table(w, m, files)) {
            *span = w->modules[arch_module_index(arch, -1, ROLE_WORD)];
            continue;
        }
        at = aligned(at);
        place(&at, &span->weight, weight_bytes(w, i));
        place_scales(w, &at, i);
        at = aligned(at);
        if (m->bias)
            place(&at, &span->bias, bias_bytes(m));
    }
    w->bytes = aligned(at);
}

/* What is laid out, and of which dtype. */
typedef struct Wanted {
    const Stage *stage; /* NULL: all */
    const SlotTable *table; /* what is trained; NULL: not known */
    Precision precision;
} Wanted;

static bool plan(Weights *w, const ModelArch *arch, const SafeTensors *files, const Wanted *wanted, Err *err)
{
    *w = (Weights){ .arch = arch,
                    .stage = wanted->stage,
                    .modules = xcalloc((size_t)arch->module_count, sizeof *w->modules),
                    .dynamic = xcalloc(256, sizeof *w->dynamic) };
    nf4_dynamic(w->dynamic);
    if (!base_check(arch, files, err)) {
        weights_release(w);
        return false;
    }
    choose_kinds(w, wanted->table, wanted->precision);
    lay_out(w, files);
    return true;
}

bool weights_plan(Weights *w, const ModelArch *arch, const SafeTensors *files, Err *err)
{
    return plan(w, arch, files, &(Wanted){ .precision = PRECISION_FP32 }, err);
}

bool weights_plan_beside(Weights *w, const SlotTable *table, const Stage *stage, const SafeTensors *files,
                         Precision precision, Err *err)
{
    if (!plan(w, table->arch, files, &(Wanted){ stage, table, precision }, err))
        return false;
    for (int i = 0; table->whole && i < w->arch->module_count; i++)
        w->modules[i].weight = w->modules[i].bias = -1;
    w->bytes = table->whole ? 0 : w->bytes;
    return true;
}

void weights_release(Weights *w)
{
    free(w->modules);
    free(w->dynamic);
    *w = (Weights){ 0 };
}

/* ---- loading ------------------------------------------------------------------------- */

/* A module's tensor, in the order of its rows. */
typedef struct Stored {
    const TensorView *tensor;
    int64_t transposed_in; /* > 0: the file holds [in,out], this is in */
} Stored;

/* out[end - begin] = [begin, end) of a matrix [O,I] that the file holds as [I,O]: elements are counted
 * in the order of out. A few rows at a time, so that both sides stay in the cache. */
static bool read_transposed(float *out, const Stored *stored, int64_t begin, int64_t end, Err *err)
{
    enum { ROWS = 64 };
    float column[ROWS];
    const int64_t I = stored->transposed_in, O = stored->tensor->count / I, last = (end - 1) / I;
    for (int64_t o = begin / I; o <= last; o += ROWS) {
        const int64_t rows = last - o + 1 < ROWS ? last - o + 1 : ROWS;
        for (int64_t i = 0; i < I; i++) {
            if (!tensor_to_f32(column, stored->tensor, i * O + o, rows, err))
                return false;
            for (int64_t r = 0; r < rows; r++) {
                const int64_t at = (o + r) * I + i;
                if (at >= begin && at < end)
                    out[at - begin] = column[r];
            }
        }
    }
    return true;
}

/* A damaged file, or a model whose training diverged: no answer and no gradient of it would be one. */
static bool check_finite(const float *values, const Stored *stored, int64_t begin, int64_t end, Err *err)
{
    const TensorView *t = stored->tensor;
    const int64_t at = begin + maths_not_finite(values, end - begin), I = stored->transposed_in;
    if (at == end)
        return true;
    const int64_t in_file = I > 0 ? at % I * (t->count / I) + at / I : at;
    err_set(err, ERR_TRAINING, "'%s' holds values that are not finite: number %lld is %g", t->name, (long long)in_file,
            (double)values[at - begin]);
    err_hint(err, "the file is damaged, or the model's training diverged: take another copy or an earlier state of it");
    return err_at(err, "%s", t->file);
}

/* out[end - begin] = numbers [begin, end) */
static bool read_numbers(float *out, const Stored *stored, int64_t begin, int64_t end, Err *err)
{
    return (stored->transposed_in > 0 ? read_transposed(out, stored, begin, end, err)
                                      : tensor_to_f32(out, stored->tensor, begin, end - begin, err)) &&
           check_finite(out, stored, begin, end, err);
}

static void *at_offset(const Weights *w, int64_t offset)
{
    return w->data && offset >= 0 ? (char *)w->data + offset : NULL;
}

/* The bytes [begin, end) of the block, as far as they lie in this tensor's place: whole floats. */
static bool load_floats(Weights *w, const Stored *stored, int64_t offset, int64_t count, int64_t begin, int64_t end,
                        Err *err)
{
    const int64_t size = sizeof(float), last = offset + count * size;
    const int64_t from = ((offset > begin ? offset : begin) - offset) / size;
    const int64_t to = ((last < end ? last : end) - offset) / size;
    if (from >= to)
        return true;
    float *out = (float *)at_offset(w, offset) + from;
    w->read += stored->tensor ? (to - from) * dtype_bytes(stored->tensor->dtype) : 0;
    if (stored->tensor)
        return read_numbers(out, stored, from, to, err);
    memset(out, 0, (size_t)(to - from) * sizeof *out);
    return true;
}

/* ---- packing -------------------------------------------------------------------------- */

/* Rows that are floats at a time: blocks of nf4 end with them. */
enum { PACK_ROWS = NF4_BLOCK };

typedef struct Packing {
    FrozenKind kind;
    int64_t in;
    char *data;
    float *scales;
    uint8_t *codes;
    float *absmax; /* [blocks], owned: of double quantisation, until all are there */
} Packing;

/* Rows [o, o + rows) */
static void pack_rows(const Packing *p, const float *x, int64_t o, int64_t rows)
{
    const int64_t at = o * p->in, n = rows * p->in;
    if (p->kind == FROZEN_BF16) {
        uint16_t *out = (uint16_t *)(void *)p->data + at;
        for (int64_t i = 0; i < n; i++)
            out[i] = tensor_bf16(x[i]);
    } else if (p->kind == FROZEN_INT8) {
        for (int64_t r = 0; r < rows; r++)
            p->scales[o + r] = int8_pack((int8_t *)p->data + at + r * p->in, x + r * p->in, p->in);
    } else {
        nf4_pack((uint8_t *)p->data + at / 2, p->absmax + at / NF4_BLOCK, x, n);
    }
}

/* Never more than PACK_ROWS rows of it are floats. */
static bool load_packed(Weights *w, int module, const Stored *stored, Err *err)
{
    const Module *m = &w->arch->modules[module];
    const WeightSpan *span = &w->modules[module];
    const int64_t count = stored_count(m), in = count / m->out;
    Packing p = {
        .kind = span->kind,
        .in = in,
        .data = at_offset(w, span->weight),
        .scales = at_offset(w, span->scales),
        .codes = at_offset(w, span->codes),
        .absmax = mem_alloc((size_t)nf4_blocks(count) * sizeof(float), err),
    };
    float *rows = mem_alloc((size_t)(PACK_ROWS * in) * sizeof *rows, err);
    bool ok = p.absmax && rows;
    w->read += stored->tensor->bytes;
    for (int64_t o = 0; ok && o < m->out; o += PACK_ROWS) {
        const int64_t n = m->out - o < PACK_ROWS ? m->out - o : PACK_ROWS;
        ok = read_numbers(rows, stored, o * in, (o + n) * in, err);
        if (ok)
            pack_rows(&p, rows, o, n);
    }
    if (ok && p.kind == FROZEN_NF4_DOUBLE)
        nf4_pack_scales(p.codes, p.scales + 1, p.scales, p.absmax, nf4_blocks(count), w->dynamic);
    free(p.absmax);
    free(rows);
    return ok;
}

/* What is packed is loaded by the one part that its place begins in. */
static bool load_weight(Weights *w, int module, const SafeTensors *files, int64_t begin, int64_t end, Err *err)
{
    const Module *m = &w->arch->modules[module];
    const WeightSpan *span = &w->modules[module];
    const Stored stored = { stored_source(files, w->arch, m, false), m->transposed ? m->in : 0 };
    if (span->kind == FROZEN_F32)
        return load_floats(w, &stored, span->weight, stored_count(m), begin, end, err);
    return span->weight < begin || span->weight >= end || load_packed(w, module, &stored, err);
}

static bool load_bias(Weights *w, int module, const SafeTensors *files, int64_t begin, int64_t end, Err *err)
{
    const Module *m = &w->arch->modules[module];
    const Stored stored = { m->bias ? stored_find(files, w->arch, m, true) : NULL, 0 };
    return !m->bias || load_floats(w, &stored, w->modules[module].bias, m->out, begin, end, err);
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
        if (!is_held(w, m) || (m->tied && w->modules[i].weight == w->modules[word].weight))
            continue;
        if (!load_weight(w, i, files, begin, end, err) || !load_bias(w, i, files, begin, end, err))
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
        const bool first = !w->stage || stage_is_first(w->stage);
        const Module *of = owner[t] >= 0 ? &w->arch->modules[owner[t]] : NULL;
        const bool held = !of || stage_shares(of) ? first : is_held(w, of);
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
    const FrozenPart part = { .kind = span->kind,
                              .rows = m->out,
                              .data = at_offset(w, span->weight),
                              .scales = at_offset(w, span->scales),
                              .codes = at_offset(w, span->codes),
                              .table = w->dynamic };
    return frozen_of(&part, m->kind == MODULE_NORM ? 1 : m->in);
}

const float *weights_weight(const Weights *w, int module)
{
    const Frozen weight = weights_frozen(w, module);
    return frozen_floats(&weight);
}

const float *weights_bias(const Weights *w, int module)
{
    return at_offset(w, w->modules[module].bias);
}

float *weights_room(const Weights *w, int module)
{
    REQUIRE(w->data && w->modules[module].kind == FROZEN_F32);
    return at_offset(w, w->modules[module].weight);
}
