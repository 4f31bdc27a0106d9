#include "worker/layers/frozen.h"

#include "common/base/err.h"
#include "common/tensor/quant.h"
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

void frozen_join(Frozen *w, const Frozen *behind)
{
    REQUIRE(w->in == behind->in);
    if (is_floats(w) && is_floats(behind)) {
        REQUIRE(!w->part[0].data || frozen_floats(w) + w->out * w->in == frozen_floats(behind));
        w->part[0].rows += behind->out;
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

/* Row o of a part. */
static void unpack_row(float *x, const FrozenPart *part, int64_t o, int64_t in)
{
    switch (part->kind) {
    case FROZEN_F32:
        memcpy(x, (const float *)part->data + o * in, (size_t)in * sizeof *x);
        return;
    case FROZEN_BF16:
        kernels->unpack_bf16(x, (const uint16_t *)part->data + o * in, in);
        return;
    case FROZEN_INT8:
        kernels->unpack_int8(x, (const int8_t *)part->data + o * in, part->scales[o], in);
        return;
    case FROZEN_NF4:
    case FROZEN_NF4_DOUBLE:
        unpack_blocks(x, part, o * in, in);
    }
}

void frozen_row(float *x, const Frozen *w, int64_t o)
{
    REQUIRE(o >= 0 && o < w->out);
    int i = 0;
    while (o >= w->part[i].rows)
        o -= w->part[i++].rows;
    unpack_row(x, &w->part[i], o, w->in);
}

/* Rows of a panel: whole steps, as products are cut at these. */
static int64_t panel_rows(const Frozen *w)
{
    const int64_t fit = PANEL_FLOATS / w->in / PANEL_STEP * PANEL_STEP, rows = fit > PANEL_STEP ? fit : PANEL_STEP;
    return rows < w->out ? rows : w->out;
}

int64_t frozen_room(const Frozen *w)
{
    return is_floats(w) ? 0 : panel_rows(w) * w->in;
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

void frozen_product(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, bool apart, float *room)
{
    const int64_t in = w->in;
    if (is_floats(w)) {
        (apart ? kernels->row_products : gemm_nt)(y, ldy, x, in, frozen_floats(w), in, N, w->out, in, 1, 0);
        return;
    }
    REQUIRE(room);
    if (apart || N == 1) {
        product_apart(y, ldy, x, w, N, room);
        return;
    }
    for (int64_t o = 0, rows = panel_rows(w); o < w->out; o += rows) {
        const int64_t end = o + rows < w->out ? o + rows : w->out;
        unpack_panel(room, w, o, end);
        gemm_nt(y + o, ldy, x, in, room, in, N, end - o, in, 1, 0);
    }
}

void frozen_pull(float *dx, const float *g, int64_t ldg, const Frozen *w, int64_t N, float beta, float *room)
{
    const int64_t in = w->in;
    if (is_floats(w)) {
        gemm_nn(dx, in, g, ldg, frozen_floats(w), in, N, in, w->out, 1, beta);
        return;
    }
    REQUIRE(room);
    for (int64_t o = 0, rows = panel_rows(w); o < w->out; o += rows) {
        const int64_t end = o + rows < w->out ? o + rows : w->out;
        unpack_panel(room, w, o, end);
        gemm_nn(dx, in, g + o, ldg, room, in, N, in, end - o, 1, o == 0 ? beta : 1);
    }
}
