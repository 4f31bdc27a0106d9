/* DESIGN: the CPU's tiles are sixteen rows of 64 bytes. One of the float factor has sixteen of its rows and 32 terms, rounded to
 * bf16; one of the matrix has 32 terms, as 16 pairs, of sixteen outputs; one of sums sixteen rows and outputs. Two by two of
 * sums stay in registers while all terms of a block go by, which start from what stands in y.
 *
 * The float factor is packed whole, BF16_ROWS x BF16_DEPTH at a time, in blocks of BF16_BLOCK terms, tile behind tile. A
 * strip of the matrix (STRIP outputs, a block of terms) is packed on the stack of who multiplies with it, and meets
 * all packed rows while it stays in the cache. What is not there is zero in tiles; sums that are not wanted go nowhere. */
#include "worker/kernels/bf16_products.h"

#ifdef __x86_64__

#include "worker/kernels/bf16_pack.h"

#include <cpuid.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AMX __attribute__((target("amx-tile,amx-bf16,avx512bf16,avx512bw,avx512vl")))
#define AMX_INLINE AMX __attribute__((always_inline)) static inline

/* Numbers of a tile's side; terms of a tile; its bytes and its row's. */
enum { SIDE = LANES, DEEP = 32, TILE = SIDE * DEEP, ROW_BYTES = 64 };
enum { WIDE = 2, STRIP = WIDE * SIDE, STEPS = BF16_BLOCK / DEEP };
_Static_assert(BF16_BLOCK % DEEP == 0 && BF16_ROWS % SIDE == 0, "tiles fill what lies packed");

/* Linux gives a process the registers of the tiles only when it asks for them (arch_prctl, ARCH_REQ_XCOMP_PERM). */
bool amx_can(void)
{
    enum { ASK = 0x1023, TILE_DATA = 18 };
    const unsigned needed = 1u << 24 | 1u << 22; /* AMX-TILE, AMX-BF16 */
    unsigned a, b, c, d = 0;
    return bf16_can() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & needed) == needed &&
           syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}

typedef struct TileConfig {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfig;

/* Tiles 0 to 3 are sums, 4 and 5 of the float factor, 6 and 7 of the matrix. */
AMX static void take_tiles(void)
{
    TileConfig config = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = ROW_BYTES;
        config.rows[i] = SIDE;
    }
    _tile_loadconfig(&config);
}

/* ---- packing ------------------------------------------------------------------------- */

/* Tiles of SIDE rows of x, one behind the other: terms [0, count) of rows [0, rows). */
BF16 static void pack_rows(uint16_t *out, const float *x, int64_t ldx, int64_t rows, int64_t count)
{
    for (int64_t k = 0; k < count; k += DEEP, out += TILE)
        for (int64_t r = 0; r < SIDE; r++)
            _mm512_store_si512(out + r * DEEP, r < rows ? rounded(x + r * ldx + k, count - k) : _mm512_setzero_si512());
}

/* Tiles of a strip, out[count / DEEP rounded up][WIDE]: outputs [0, outs), each a row w[count] (stride ldw). */
BF16 static void pack_turned(uint16_t *out, const uint16_t *w, int64_t ldw, int64_t outs, int64_t count)
{
    for (int64_t k = 0; k < count; k += DEEP)
        for (int64_t v = 0; v < WIDE; v++, out += TILE) {
            __m512i row[LANES];
            load_turned(row, w + v * SIDE * ldw + k, ldw, outs - v * SIDE, count - k);
            for (int64_t i = 0; i < SIDE; i++)
                _mm512_store_si512(out + i * DEEP, row[i]);
        }
}

/* The same of a strip of w's columns: outputs [0, outs) of `count` rows. Two rows of 32 outputs become the pairs of two tiles. */
BF16 static void pack_straight(uint16_t *out, const uint16_t *w, int64_t ldw, int64_t outs, int64_t count)
{
    uint16_t order[2][DEEP];
    for (int i = 0; i < DEEP; i++)
        for (int v = 0; v < WIDE; v++)
            order[v][i] = (uint16_t)(v * SIDE + i / 2 + i % 2 * DEEP); /* the second row's numbers follow the first's */
    const __m512i first = _mm512_loadu_si512(order[0]), second = _mm512_loadu_si512(order[1]);
    const __mmask32 there = first_lanes(outs);
    for (int64_t k = 0; k < count; k += DEEP, out += WIDE * TILE)
        for (int64_t i = 0; i < SIDE; i++) {
            const int64_t term = k + 2 * i;
            const __m512i none = _mm512_setzero_si512();
            const __m512i even = term < count ? _mm512_maskz_loadu_epi16(there, w + term * ldw) : none;
            const __m512i odd = term + 1 < count ? _mm512_maskz_loadu_epi16(there, w + (term + 1) * ldw) : none;
            _mm512_store_si512(out + i * DEEP, _mm512_permutex2var_epi16(even, first, odd));
            _mm512_store_si512(out + TILE + i * DEEP, _mm512_permutex2var_epi16(even, second, odd));
        }
}

/* ---- tiles --------------------------------------------------------------------------- */

/* y[rows,outs] += the products of a strip, whose tiles are [steps][WIDE]; = with `fresh`. */
typedef struct TileStrip {
    float *y;
    int64_t ldy, outs;
    const uint16_t *packed;
    int64_t steps;
    bool fresh;
} TileStrip;

/* Where a tile of sums can be read and written: y itself, or at the edges a copy. */
AMX_INLINE float *begin_sums(const TileStrip *s, float *y, float *copy, int64_t rows, int64_t outs, int64_t *stride)
{
    const bool whole = rows == SIDE && outs == SIDE;
    *stride = (whole ? s->ldy : SIDE) * (int64_t)sizeof(float);
    if (whole)
        return y;
    for (int64_t r = 0; r < SIDE && !s->fresh; r++)
        _mm512_store_ps(copy + r * SIDE, r < rows ? _mm512_maskz_loadu_ps((__mmask16)first_lanes(outs), y + r * s->ldy)
                                                  : _mm512_setzero_ps());
    return copy;
}

AMX_INLINE void end_sums(const TileStrip *s, float *y, const float *sums, int64_t rows, int64_t outs)
{
    for (int64_t r = 0; sums != y && r < rows; r++)
        _mm512_mask_storeu_ps(y + r * s->ldy, (__mmask16)first_lanes(outs), _mm512_load_ps(sums + r * SIDE));
}

/* Of `high` tiles of rows at x, the second `next` numbers behind the first, and `wide` of outputs: 1 or 2, constants wherever
 * this is inlined. rows, outs: how many there are of the last of each. */
AMX_INLINE void block(const TileStrip *s, float *y, const uint16_t *x, int64_t next, const int high, const int wide,
                      int64_t rows, int64_t outs)
{
    _Alignas(64) float copy[4][SIDE * SIDE];
    float *at[4], *sums[4];
    int64_t stride[4];
    for (int i = 0; i < 4; i++) {
        const int r = i / 2, v = i % 2;
        if (r >= high || v >= wide)
            continue;
        at[i] = y + r * SIDE * s->ldy + v * SIDE;
        sums[i] = begin_sums(s, at[i], copy[i], r + 1 == high ? rows : SIDE, v + 1 == wide ? outs : SIDE, &stride[i]);
    }
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if (!s->fresh) {
        _tile_loadd(0, sums[0], stride[0]);
        if (wide == 2)
            _tile_loadd(1, sums[1], stride[1]);
        if (high == 2)
            _tile_loadd(2, sums[2], stride[2]);
        if (high == 2 && wide == 2)
            _tile_loadd(3, sums[3], stride[3]);
    }
    const uint16_t *w = s->packed;
    for (int64_t k = 0; k < s->steps; k++, x += TILE, w += WIDE * TILE) {
        _tile_loadd(4, x, ROW_BYTES);
        _tile_loadd(6, w, ROW_BYTES);
        _tile_dpbf16ps(0, 4, 6);
        if (wide == 2) {
            _tile_loadd(7, w + TILE, ROW_BYTES);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (high == 2) {
            _tile_loadd(5, x + next, ROW_BYTES);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (high == 2 && wide == 2)
            _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums[0], stride[0]);
    if (wide == 2)
        _tile_stored(1, sums[1], stride[1]);
    if (high == 2)
        _tile_stored(2, sums[2], stride[2]);
    if (high == 2 && wide == 2)
        _tile_stored(3, sums[3], stride[3]);
    for (int i = 0; i < 4; i++)
        if (i / 2 < high && i % 2 < wide)
            end_sums(s, at[i], sums[i], i / 2 + 1 == high ? rows : SIDE, i % 2 + 1 == wide ? outs : SIDE);
}

/* All packed rows: x[rows / SIDE rounded up][steps] tiles. */
AMX_INLINE void down(const TileStrip *s, const uint16_t *x, int64_t rows, const int wide)
{
    const int64_t next = s->steps * TILE, outs = s->outs - (wide - 1) * SIDE;
    float *y = s->y;
    for (; rows > SIDE; rows -= 2 * SIDE) {
        block(s, y, x, next, 2, wide, least(SIDE, rows - SIDE), outs);
        x += 2 * next;
        y += 2 * SIDE * s->ldy;
    }
    if (rows > 0)
        block(s, y, x, next, 1, wide, rows, outs);
}

/* ---- products ------------------------------------------------------------------------ */

typedef struct TileProduct {
    float *y;
    int64_t ldy;
    const float *x;
    int64_t ldx;
    const uint16_t *w;
    int64_t ldw;
    bool turned; /* outputs are rows of w, else its columns */
    int64_t N, outs, terms;
    float beta;
    uint16_t *room;
} TileProduct;

/* Where a group's tiles of a block begin: blocks, groups, steps, one within the other. */
static int64_t place(int64_t at, int64_t groups, int64_t g, int64_t count)
{
    return (at * groups + g * ((count + DEEP - 1) / DEEP * DEEP)) * SIDE;
}

/* Rows [n, n + rows) and terms [k, k + terms). */
static void pack_factor(const TileProduct *p, int64_t n, int64_t rows, int64_t k, int64_t terms)
{
    const int64_t groups = (rows + SIDE - 1) / SIDE;
#pragma omp parallel for if (groups > 1)
    for (int64_t g = 0; g < groups; g++)
        for (int64_t at = 0; at < terms; at += BF16_BLOCK) {
            const int64_t count = least(BF16_BLOCK, terms - at);
            pack_rows(p->room + place(at, groups, g, count), p->x + (n + g * SIDE) * p->ldx + k + at, p->ldx,
                      rows - g * SIDE, count);
        }
}

AMX static void multiply_strip(const TileProduct *p, const uint16_t *x, int64_t n, int64_t rows, int64_t k,
                               int64_t count, int64_t o)
{
    _Alignas(64) uint16_t packed[STEPS * WIDE * TILE];
    const int64_t outs = least(STRIP, p->outs - o);
    if (p->turned)
        pack_turned(packed, p->w + o * p->ldw + k, p->ldw, outs, count);
    else
        pack_straight(packed, p->w + k * p->ldw + o, p->ldw, outs, count);
    const TileStrip s = {
        p->y + n * p->ldy + o, p->ldy, outs, packed, (count + DEEP - 1) / DEEP, k == 0 && p->beta == 0
    };
    if (outs > SIDE)
        down(&s, x, rows, 2);
    else
        down(&s, x, rows, 1);
}

/* One block of terms that lies packed at x, into all outputs of those rows. */
AMX static void multiply_block(const TileProduct *p, const uint16_t *x, int64_t n, int64_t rows, int64_t k,
                               int64_t count)
{
    const int64_t strips = (p->outs + STRIP - 1) / STRIP;
#pragma omp parallel if (strips > 1)
    {
        take_tiles();
#pragma omp for
        for (int64_t i = 0; i < strips; i++)
            multiply_strip(p, x, n, rows, k, count, i * STRIP);
        _tile_release();
    }
}

/* y[N,outs] *= beta */
static void scale(const TileProduct *p)
{
#pragma omp parallel for if (p->N > 1)
    for (int64_t n = 0; n < p->N; n++)
        for (int64_t o = 0; o < p->outs; o++)
            p->y[n * p->ldy + o] *= p->beta;
}

static void compute(const TileProduct *p)
{
    if (p->beta != 0 && p->beta != 1)
        scale(p);
    for (int64_t n = 0; n < p->N; n += BF16_ROWS) {
        const int64_t rows = least(BF16_ROWS, p->N - n), groups = (rows + SIDE - 1) / SIDE;
        for (int64_t k = 0; k < p->terms; k += BF16_DEPTH) {
            const int64_t terms = least(BF16_DEPTH, p->terms - k);
            pack_factor(p, n, rows, k, terms);
            for (int64_t at = 0; at < terms; at += BF16_BLOCK)
                multiply_block(p, p->room + place(at, groups, 0, 0), n, rows, k + at, least(BF16_BLOCK, terms - at));
        }
    }
}

/* Room is aligned to a float; tiles lie at multiples of a line. */
static uint16_t *at_line(float *room)
{
    return (uint16_t *)(void *)(((uintptr_t)room + 63) & ~(uintptr_t)63);
}

static void nt(float *y, int64_t ldy, const float *x, int64_t ldx, const uint16_t *w, int64_t N, int64_t O, int64_t I,
               float beta, float *room)
{
    compute(&(TileProduct){ y, ldy, x, ldx, w, I, true, N, O, I, beta, at_line(room) });
}

static void nn(float *y, int64_t ldy, const float *x, int64_t ldx, const uint16_t *w, int64_t N, int64_t I, int64_t O,
               float beta, float *room)
{
    compute(&(TileProduct){ y, ldy, x, ldx, w, I, false, N, I, O, beta, at_line(room) });
}

const Bf16Products bf16_amx = { nt, nn, bf16_round };

#endif
