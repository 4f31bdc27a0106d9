/* DESIGN: tiles of ROWS x (VECTORS x 16) sums in registers. A lane is an output, a step takes a pair of terms: of the
 * float factor one pair is broadcast, of the matrix sixteen outputs' pairs are a vector.
 *
 * The float factor is packed whole, BF16_ROWS x BF16_DEPTH at a time, in blocks of BF16_BLOCK terms, of those ROWS rows
 * side by side, pair by pair. A strip of the matrix (STRIP outputs, a block of terms) is packed on the stack of who
 * multiplies with it, and meets all packed rows while it stays in the cache. */
#include "worker/kernels/bf16_products.h"

const Bf16Products *bf16_products;

#ifdef __x86_64__

#include "worker/kernels/bf16_pack.h"

enum { ROWS = 8, VECTORS = 3, STRIP = VECTORS * LANES, PAIRS = BF16_BLOCK / 2 };

bool bf16_can(void)
{
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

/* ---- packing ------------------------------------------------------------------------- */

/* out[pairs][ROWS] = rows [0, rows) of x, terms [0, count) of each; what is not there is zero. */
BF16 static void pack_rows(uint32_t *out, const float *x, int64_t ldx, int64_t rows, int64_t count)
{
    const int64_t pairs = (count + 1) / 2;
    for (int64_t k = 0; k < pairs; k += LANES) {
        __m512i row[LANES];
        for (int64_t r = 0; r < LANES; r++)
            row[r] = r < rows ? rounded(x + r * ldx + 2 * k, count - 2 * k) : _mm512_setzero_si512();
        transpose(row);
        for (int64_t i = 0; i < least(LANES, pairs - k); i++)
            _mm256_storeu_si256((void *)(out + (k + i) * ROWS), _mm512_castsi512_si256(row[i]));
    }
}

/* A strip of a matrix's rows: out[pairs][STRIP] = outputs [0, outs), each a row w[count] (stride ldw). */
BF16 static void pack_turned(uint32_t *out, const uint16_t *w, int64_t ldw, int64_t outs, int64_t count)
{
    const int64_t pairs = (count + 1) / 2;
    for (int64_t k = 0; k < pairs; k += LANES) {
        for (int64_t v = 0; v * LANES < outs; v++) {
            __m512i row[LANES];
            load_turned(row, w + v * LANES * ldw + 2 * k, ldw, outs - v * LANES, count - 2 * k);
            for (int64_t i = 0; i < least(LANES, pairs - k); i++)
                _mm512_store_si512(out + (k + i) * STRIP + v * LANES, row[i]);
        }
    }
}

/* A strip of its columns: out[pairs][STRIP] = outputs [0, outs) of `count` rows w (stride ldw). */
BF16 static void pack_straight(uint32_t *out, const uint16_t *w, int64_t ldw, int64_t outs, int64_t count)
{
    for (int64_t k = 0; k < count; k += 2)
        for (int64_t v = 0; v * LANES < outs; v++)
            _mm512_store_si512(out + k / 2 * STRIP + v * LANES,
                               load_pairs(w + k * ldw + v * LANES, ldw, k + 1 < count, outs - v * LANES));
}

/* ---- tiles --------------------------------------------------------------------------- */

/* What a strip goes into: y = sums + beta y, where `last` is of the lanes of its last vector. */
typedef struct Strip {
    float *y;
    int64_t ldy;
    const uint32_t *packed; /* [pairs][STRIP] */
    int64_t pairs;
    float beta;
    __mmask16 last;
} Strip;

/* Both counts are constants wherever this is inlined. */
BF16_INLINE void tile(const Strip *s, float *y, const uint32_t *x, const int rows, const int vectors)
{
    __m512 sum[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            _mm_prefetch((const void *)(y + r * s->ldy + v * LANES), _MM_HINT_T0);
            sum[r][v] = _mm512_setzero_ps();
        }
    for (int64_t k = 0; k < s->pairs; k++) {
        __m512i w[VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            w[v] = _mm512_load_si512(s->packed + k * STRIP + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const __m512i pair = _mm512_set1_epi32((int32_t)x[k * ROWS + r]);
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)pair, (__m512bh)w[v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            float *at = y + r * s->ldy + v * LANES;
            const __mmask16 lanes = v + 1 == vectors ? s->last : 0xffff;
            if (s->beta != 0.0f)
                sum[r][v] = _mm512_fmadd_ps(_mm512_set1_ps(s->beta), _mm512_maskz_loadu_ps(lanes, at), sum[r][v]);
            _mm512_mask_storeu_ps(at, lanes, sum[r][v]);
        }
}

/* All packed rows: full tiles, then what is left over. x[rows / ROWS rounded up][pairs][ROWS] */
BF16_INLINE void down(const Strip *s, const uint32_t *x, int64_t rows, const int vectors)
{
    float *y = s->y;
    for (; rows >= ROWS; rows -= ROWS) {
        tile(s, y, x, ROWS, vectors);
        x += s->pairs * ROWS;
        y += ROWS * s->ldy;
    }
    for (; rows >= 2; rows -= 2) {
        tile(s, y, x, 2, vectors);
        x += 2;
        y += 2 * s->ldy;
    }
    if (rows == 1)
        tile(s, y, x, 1, vectors);
}

BF16 static void strip_product(const Strip *s, const uint32_t *x, int64_t rows, int64_t outs)
{
    if (outs > 2 * LANES)
        down(s, x, rows, 3);
    else if (outs > LANES)
        down(s, x, rows, 2);
    else
        down(s, x, rows, 1);
}

/* ---- products ------------------------------------------------------------------------ */

typedef struct HalvesProduct {
    float *y;
    int64_t ldy;
    const float *x;
    int64_t ldx;
    const uint16_t *w;
    int64_t ldw;
    bool turned; /* outputs are rows of w, else its columns */
    int64_t N, outs, terms;
    float beta;
    uint32_t *room;
} HalvesProduct;

/* Rows [n, n + rows) and terms [k, k + terms), a block behind the other. */
static void pack_factor(const HalvesProduct *p, int64_t n, int64_t rows, int64_t k, int64_t terms)
{
    const int64_t groups = (rows + ROWS - 1) / ROWS;
#pragma omp parallel for if (groups > 1)
    for (int64_t g = 0; g < groups; g++)
        for (int64_t at = 0; at < terms; at += BF16_BLOCK) {
            const int64_t count = least(BF16_BLOCK, terms - at), pairs = (count + 1) / 2;
            pack_rows(p->room + (at / 2 * groups + g * pairs) * ROWS, p->x + (n + g * ROWS) * p->ldx + k + at, p->ldx,
                      least(ROWS, rows - g * ROWS), count);
        }
}

/* The same rows, with one block of terms that lies packed at x, into all outputs. */
static void multiply_block(const HalvesProduct *p, const uint32_t *x, int64_t n, int64_t rows, int64_t k, int64_t count)
{
    const int64_t strips = (p->outs + STRIP - 1) / STRIP;
#pragma omp parallel for if (strips > 1)
    for (int64_t i = 0; i < strips; i++) {
        _Alignas(64) uint32_t packed[PAIRS * STRIP];
        const int64_t o = i * STRIP, outs = least(STRIP, p->outs - o), last = (outs - 1) % LANES + 1;
        if (p->turned)
            pack_turned(packed, p->w + o * p->ldw + k, p->ldw, outs, count);
        else
            pack_straight(packed, p->w + k * p->ldw + o, p->ldw, outs, count);
        const Strip s = { p->y + n * p->ldy + o,       p->ldy, packed, (count + 1) / 2, k == 0 ? p->beta : 1,
                          (__mmask16)first_lanes(last) };
        strip_product(&s, x, rows, outs);
    }
}

static void compute(const HalvesProduct *p)
{
    for (int64_t n = 0; n < p->N; n += BF16_ROWS) {
        const int64_t rows = least(BF16_ROWS, p->N - n), groups = (rows + ROWS - 1) / ROWS;
        for (int64_t k = 0; k < p->terms; k += BF16_DEPTH) {
            const int64_t terms = least(BF16_DEPTH, p->terms - k);
            pack_factor(p, n, rows, k, terms);
            for (int64_t at = 0; at < terms; at += BF16_BLOCK)
                multiply_block(p, p->room + at / 2 * groups * ROWS, n, rows, k + at, least(BF16_BLOCK, terms - at));
        }
    }
}

static void nt(float *y, int64_t ldy, const float *x, int64_t ldx, const uint16_t *w, int64_t N, int64_t O, int64_t I,
               float beta, float *room)
{
    compute(&(HalvesProduct){ y, ldy, x, ldx, w, I, true, N, O, I, beta, (uint32_t *)(void *)room });
}

static void nn(float *y, int64_t ldy, const float *x, int64_t ldx, const uint16_t *w, int64_t N, int64_t I, int64_t O,
               float beta, float *room)
{
    compute(&(HalvesProduct){ y, ldy, x, ldx, w, I, false, N, I, O, beta, (uint32_t *)(void *)room });
}

BF16 void bf16_round(uint16_t *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += 2 * LANES)
        _mm512_mask_storeu_epi16(out + i, first_lanes(n - i), rounded(x + i, n - i));
}

const Bf16Products bf16_avx512 = { nt, nn, bf16_round };

#endif
