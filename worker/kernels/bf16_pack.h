/* bf16_pack - what the products in bf16 (bf16_products.c, amx_products.c) share: lanes, transposition and rounding of
 * sixteen rows at a time. Only for code that runs where bf16_can says so.
 *
 * Threads: any. */
#ifndef WORKER_KERNELS_BF16_PACK_H
#define WORKER_KERNELS_BF16_PACK_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#define BF16 __attribute__((target("avx512bf16,avx512bw,avx512vl")))
#define BF16_INLINE BF16 __attribute__((always_inline)) static inline

enum { LANES = 16 };

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The first n of 16, or of 32. */
static inline uint32_t first_lanes(int64_t n)
{
    return n <= 0 ? 0 : n >= 32 ? UINT32_MAX : (UINT32_C(1) << n) - 1;
}

/* row[i] lane j <-> row[j] lane i. Interleaving row i with row i + 8 rotates an element's number, the bits of its row
 * and lane, by one; four times exchange the two. */
BF16_INLINE void transpose(__m512i row[LANES])
{
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    __m512i next[LANES];
#pragma GCC unroll 4
    for (int bit = 1; bit < LANES; bit *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = _mm512_permutex2var_epi32(row[i], low, row[i + LANES / 2]);
            next[2 * i + 1] = _mm512_permutex2var_epi32(row[i], high, row[i + LANES / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            row[i] = next[i];
    }
}

/* Sixteen pairs of terms, of which `count` terms are there. */
BF16_INLINE __m512i rounded(const float *x, int64_t count)
{
    const __m512 first = _mm512_maskz_loadu_ps((__mmask16)first_lanes(count), x);
    const __m512 second =
        count > LANES ? _mm512_maskz_loadu_ps((__mmask16)first_lanes(count - LANES), x + LANES) : _mm512_setzero_ps();
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

BF16_INLINE __m512i widened(const uint16_t *w, int64_t count)
{
    return _mm512_cvtepu16_epi32(
        _mm512_castsi512_si256(_mm512_maskz_loadu_epi16((__mmask32)(first_lanes(count) & 0xffff), w)));
}

/* row[i] = numbers [i ldw, i ldw + count) of w for i < rows, up to 32; what is not there is zero. Then transposed: row[i] lane j
 * is pair i of w's row j. */
BF16_INLINE void load_turned(__m512i row[LANES], const uint16_t *w, int64_t ldw, int64_t rows, int64_t count)
{
    const __mmask32 there = first_lanes(count);
    for (int64_t r = 0; r < LANES; r++)
        row[r] = r < rows ? _mm512_maskz_loadu_epi16(there, w + r * ldw) : _mm512_setzero_si512();
    transpose(row);
}

/* Lane j: number j of two rows of w, `count` of each, as a pair; the second row may be missing. */
BF16_INLINE __m512i load_pairs(const uint16_t *w, int64_t ldw, bool second, int64_t count)
{
    const __m512i odd = second ? widened(w + ldw, count) : _mm512_setzero_si512();
    return _mm512_or_si512(widened(w, count), _mm512_slli_epi32(odd, 16));
}

#endif
