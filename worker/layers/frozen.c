#include "worker/layers/frozen.h"

#include "common/base/err.h"
#include "common/base/profile.h"
#include "common/tensor/quant.h"
#include "worker/kernels/bf16_products.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"

#include <stddef.h>
#include <string.h>

/* Floats that are unpacked at a time: whole matrices of small models, and little beside those of large ones, while
 * packing the other factor anew for each panel costs nothing. A task of a product of few rows unpacks less, to stay in
 * its core's cache. */
enum { PANEL_FLOATS = 1 << 22, PANEL_STEP = 64, TASK_FLOATS = 1 << 13 };

int64_t frozen_bytes(FrozenKind kind, int64_t out, int64_t in)
{
    switch (kind) {
    case FROZEN_F32:
        return out * in * (int64_t)sizeof(float);
    case FROZEN_BF16:
        return out * in * (int64_t)sizeof(uint16_t);
    case FROZEN_INT8:
        return out * in;
    case FROZEN_NF4:
    case FROZEN_NF4_DOUBLE:
        break;
    }
    return (out * in + 1) / 2;
}

Frozen frozen_of(const FrozenPart *part, int64_t in)
{
    return (Frozen){ .parts = 1, .part = { *part }, .out = part->rows, .in = in };
}

Frozen frozen_of_floats(const float *data, int64_t out, int64_t in)
{
    return frozen_of(&(FrozenPart){ .kind = FROZEN_F32, .rows = out, .data = data }, in);
}

static bool is_floats(const Frozen *w)
{
    return w->parts == 1 && w->part[0].kind == FROZEN_F32;
}

const float *frozen_floats(const Frozen *w)
{
    REQUIRE(is_floats(w));
    return w->part[0].data;
}

/* Both are halves, the second's behind the first's. */
static bool go_on(const FrozenPart *first, const FrozenPart *second, int64_t in)
{
    return first->kind == FROZEN_BF16 && second->kind == FROZEN_BF16 && first->data &&
           (const char *)first->data + frozen_bytes(FROZEN_BF16, first->rows, in) == second->data;
}

void frozen_join(Frozen *w, const Frozen *behind)
{
    REQUIRE(w->in == behind->in);
    if (is_floats(w) && is_floats(behind)) {
        REQUIRE(!w->part[0].data || frozen_floats(w) + w->out * w->in == frozen_floats(behind));
        w->part[0].rows += behind->out;
    } else if (behind->parts == 1 && go_on(&w->part[w->parts - 1], &behind->part[0], w->in)) {
        w->part[w->parts - 1].rows += behind->out;
    } else {
        REQUIRE(w->parts + behind->parts <= FROZEN_PARTS);
        for (int i = 0; i < behind->parts; i++)
            w->part[w->parts++] = behind->part[i];
    }
    w->out += behind->out;
}

/* ---- unpacking --------------------------------------------------------------------- */

/* Numbers [begin, begin + n) of a part. */
static void unpack_blocks(float *out, const FrozenPart *part, int64_t begin, int64_t n)
{
    enum { BLOCKS = 64 };
    float scales[BLOCKS];
    if (part->kind == FROZEN_NF4) {
        kernels->unpack_nf4(out, part->data, part->scales + begin / NF4_BLOCK, begin, n);
        return;
    }
    for (const int64_t end = begin + n; begin < end;) {
        const int64_t first = begin / NF4_BLOCK, fit = (first + BLOCKS) * NF4_BLOCK, stop = fit < end ? fit : end;
        for (int64_t b = first; b * NF4_BLOCK < stop; b++)
            scales[b - first] = nf4_scale(part->codes, part->scales + 1, part->scales[0], part->table, b);
        kernels->unpack_nf4(out, part->data, scales, begin, stop - begin);
        out += stop - begin;
        begin = stop;
    }
}

/* Numbers [first, first + n) of row o of a part. */
static void unpack_some(float *x, const FrozenPart *part, int64_t o, int64_t in, int64_t first, int64_t n)
{
    const int64_t at = o * in + first;
    switch (part->kind) {
    case FROZEN_F32:
        memcpy(x, (const float *)part->data + at, (size_t)n * sizeof *x);
        return;
    case FROZEN_BF16:
        kernels->unpack_bf16(x, (const uint16_t *)part->data + at, n);
        return;
    case FROZEN_INT8:
        kernels->unpack_int8(x, (const int8_t *)part->data + at, part->scales[o], n);
        return;
    case FROZEN_NF4:
    case FROZEN_NF4_DOUBLE:
        unpack_blocks(x, part, at, n);
    }
}

void frozen_row(float *x, const Frozen *w, int64_t o)
{
    REQUIRE(o >= 0 && o < w->out);
    int i = 0;
    while (o >= w->part[i].rows)
        o -= w->part[i++].rows;
    unpack_some(x, &w->part[i], o, w->in, 0, w->in);
}

/* Rows of a panel: whole steps, as products are cut at these. */
static int64_t panel_rows(const Frozen *w)
{
    const int64_t fit = PANEL_FLOATS / w->in / PANEL_STEP * PANEL_STEP, rows = fit > PANEL_STEP ? fit : PANEL_STEP;
    return rows < w->out ? rows : w->out;
}

/* What is neither floats nor halves becomes halves, in panels. */
static int64_t halves_room(const Frozen *w)
{
    const int64_t terms = w->in > w->out ? w->in : w->out;
    bool panel = false;
    for (int i = 0; i < w->parts; i++)
        panel = panel || w->part[i].kind > FROZEN_BF16;
    return bf16_room(terms) + (panel ? (panel_rows(w) * w->in + 1) / 2 : 0);
}

int64_t frozen_room(const Frozen *w)
{
    if (is_floats(w))
        return 0;
    const int64_t floats = panel_rows(w) * w->in, halves = bf16_products ? halves_room(w) : 0;
    return floats > halves ? floats : halves;
}

/* ---- products ---------------------------------------------------------------------- */

/* x[N,in] are so few rows that W's bytes set the pace: a task unpacks some of its rows, and uses them at once. */
static void product_apart(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, float *room)
{
    const int64_t in = w->in, fit = TASK_FLOATS / in, step = fit > 1 ? fit : 1, panel = panel_rows(w);
    for (int64_t first = 0; first < w->out; first += panel) {
        const int64_t end = first + panel < w->out ? first + panel : w->out;
#pragma omp parallel for
        for (int64_t o = first; o < end; o += step) {
            float *rows = room + (o - first) * in;
            const int64_t stop = o + step < end ? o + step : end;
            for (int64_t i = o; i < stop; i++)
                frozen_row(rows + (i - o) * in, w, i);
            kernels->row_products(y + o, ldy, x, in, rows, in, N, stop - o, in, 1, 0);
        }
    }
}

/* Rows [o, end) into the room. */
static void unpack_panel(float *room, const Frozen *w, int64_t o, int64_t end)
{
#pragma omp parallel for
    for (int64_t i = o; i < end; i++)
        frozen_row(room + (i - o) * w->in, w, i);
}

static void product_of_floats(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, float *room)
{
    const int64_t in = w->in;
    for (int64_t o = 0, rows = panel_rows(w); o < w->out; o += rows) {
        const int64_t end = o + rows < w->out ? o + rows : w->out;
        unpack_panel(room, w, o, end);
        gemm_nt(y + o, ldy, x, in, room, in, N, end - o, in, 1, 0);
    }
}

static void pull_of_floats(float *dx, const float *g, int64_t ldg, const Frozen *w, int64_t N, float beta, float *room)
{
    const int64_t in = w->in;
    for (int64_t o = 0, rows = panel_rows(w); o < w->out; o += rows) {
        const int64_t end = o + rows < w->out ? o + rows : w->out;
        unpack_panel(room, w, o, end);
        gemm_nn(dx, in, g + o, ldg, room, in, N, in, end - o, 1, o == 0 ? beta : 1);
    }
}

/* ---- in bf16 ------------------------------------------------------------------------ */

/* Rows of a part as halves: where they are stored as such, themselves; else up to a panel of them, in the room behind
 * that of the products. */
static const uint16_t *halves(const Frozen *w, const FrozenPart *part, int64_t first, int64_t *rows, float *room)
{
    enum { SOME = 512 };
    const int64_t in = w->in, fit = panel_rows(w);
    if (part->kind == FROZEN_BF16)
        return (const uint16_t *)part->data + first * in;
    *rows = *rows < fit ? *rows : fit;
    uint16_t *panel = (uint16_t *)(void *)(room + bf16_room(in > w->out ? in : w->out));
#pragma omp parallel for
    for (int64_t r = 0; r < *rows; r++)
        for (int64_t i = 0; i < in; i += SOME) {
            float some[SOME];
            const int64_t n = in - i < SOME ? in - i : SOME;
            unpack_some(some, part, first + r, in, i, n);
            bf16_products->round(panel + r * in + i, some, n);
        }
    return panel;
}

static void product_of_halves(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, float *room)
{
    const int64_t in = w->in;
    for (const FrozenPart *part = w->part; part < w->part + w->parts; y += part++->rows) {
        if (part->kind == FROZEN_F32) {
            gemm_nt(y, ldy, x, in, part->data, in, N, part->rows, in, 1, 0);
            continue;
        }
        for (int64_t o = 0, rows; o < part->rows; o += rows) {
            rows = part->rows - o;
            const uint16_t *data = halves(w, part, o, &rows, room);
            bf16_products->nt(y + o, ldy, x, in, data, N, rows, in, 0, room);
        }
    }
}

static void pull_of_halves(float *dx, const float *g, int64_t ldg, const Frozen *w, int64_t N, float beta, float *room)
{
    const int64_t in = w->in;
    for (const FrozenPart *part = w->part; part < w->part + w->parts; g += part++->rows) {
        if (part->kind == FROZEN_F32) {
            gemm_nn(dx, in, g, ldg, part->data, in, N, in, part->rows, 1, beta);
            beta = 1;
            continue;
        }
        for (int64_t o = 0, rows; o < part->rows; o += rows, beta = 1) {
            rows = part->rows - o;
            const uint16_t *data = halves(w, part, o, &rows, room);
            bf16_products->nn(dx, in, g + o, ldg, data, N, in, rows, beta, room);
        }
    }
}

/* ---- the verbs ---------------------------------------------------------------------- */

static void product(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, bool apart, float *room)
{
    const int64_t in = w->in;
    if (is_floats(w)) {
        (apart ? kernels->row_products : gemm_nt)(y, ldy, x, in, frozen_floats(w), in, N, w->out, in, 1, 0);
        return;
    }
    REQUIRE(room);
    if (apart || N == 1)
        product_apart(y, ldy, x, w, N, room);
    else if (bf16_products)
        product_of_halves(y, ldy, x, w, N, room);
    else
        product_of_floats(y, ldy, x, w, N, room);
}

static void pull(float *dx, const float *g, int64_t ldg, const Frozen *w, int64_t N, float beta, float *room)
{
    if (is_floats(w)) {
        gemm_nn(dx, w->in, g, ldg, frozen_floats(w), w->in, N, w->in, w->out, 1, beta);
        return;
    }
    REQUIRE(room);
    (bf16_products ? pull_of_halves : pull_of_floats)(dx, g, ldg, w, N, beta, room);
}

static void count(double begin, const char *name, const Frozen *w, int64_t N)
{
    if (begin < 0)
        return;
    double bytes = sizeof(float) * (double)N * (double)(w->out + w->in);
    for (int i = 0; i < w->parts; i++)
        bytes += (double)frozen_bytes(w->part[i].kind, w->part[i].rows, w->in);
    profile_end(begin, name, w->out, w->in, 2.0 * (double)N * (double)w->out * (double)w->in, bytes);
}

void frozen_product(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, bool apart, float *room)
{
    const double begin = profile_begin();
    product(y, ldy, x, w, N, apart, room);
    count(begin, "base: x W^T", w, N);
}

void frozen_pull(float *dx, const float *g, int64_t ldg, const Frozen *w, int64_t N, float beta, float *room)
{
    const double begin = profile_begin();
    pull(dx, g, ldg, w, N, beta, room);
    count(begin, "base: y W", w, N);
}
