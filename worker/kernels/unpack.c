/* unpack - numbers that take less than a float each, as floats. Each is a function of its own bits and scale, and no
 * sums are made: all levels give the same. */
#include "common/base/nf4.h"
#include "worker/kernels/kernels.h"

#include <string.h>

void unpack_bf16(float *out, const uint16_t *in, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)in[i] << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

void unpack_int8(float *out, const int8_t *in, float scale, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)in[i] * scale;
}

#define NUMBER(x) x,
static const float numbers[NF4_CODES] = { NF4_LIST(NUMBER) };

/* Two codes a byte, the upper four bits' first. */
static float number_at(const uint8_t *codes, int64_t i)
{
    return numbers[i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15];
}

/* out[n], of the codes from `begin` on, an even number, without their scale. */
static void look_up(float *out, const uint8_t *codes, int64_t begin, int64_t n)
{
    const uint8_t *at = codes + begin / 2;
    for (int64_t i = 0; i + 2 <= n; i += 2) {
        out[i] = numbers[at[i / 2] >> 4];
        out[i + 1] = numbers[at[i / 2] & 15];
    }
    if (n % 2 == 1)
        out[n - 1] = numbers[at[n / 2] >> 4];
}

/* A part of one block. */
static void unpack_block(float *out, const uint8_t *codes, float scale, int64_t begin, int64_t n)
{
    const int64_t odd = begin % 2;
    if (odd)
        out[0] = number_at(codes, begin);
    look_up(out + odd, codes, begin + odd, n - odd);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        out[i] *= scale;
}

void unpack_nf4(float *out, const uint8_t *codes, const float *scales, int64_t begin, int64_t n)
{
    const int64_t end = begin + n, first = begin / NF4_BLOCK;
    for (int64_t at = begin; at < end;) {
        const int64_t block = at / NF4_BLOCK, whole = (block + 1) * NF4_BLOCK, stop = whole < end ? whole : end;
        unpack_block(out + at - begin, codes, scales[block - first], at, stop - at);
        at = stop;
    }
}
