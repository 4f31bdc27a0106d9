#include "common/slots/sums.h"

#include <string.h>

/* To the nearest, ties to even; a NaN stays one. */
static inline uint32_t rounded(uint32_t bits)
{
    const uint32_t nearest = bits + 0x7fff + (bits >> 16 & 1), nan = bits | 0x400000;
    return ((bits & 0x7fffffff) > 0x7f800000 ? nan : nearest) & 0xffff0000;
}

static inline float to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = rounded(bits);
    memcpy(&x, &bits, sizeof x);
    return x;
}

void sums_leaf(WireDtype dtype, float *x, int64_t n)
{
    if (dtype == WIRE_FP32)
        return;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] = to_bf16(x[i]);
}

void sums_add(WireDtype dtype, float *restrict left, const float *restrict right, int64_t n)
{
    if (dtype == WIRE_FP32) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            left[i] += right[i];
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        left[i] = to_bf16(left[i] + right[i]);
}

size_t sums_bytes(WireDtype dtype, int64_t n)
{
    return (size_t)n * (dtype == WIRE_BF16 ? sizeof(uint16_t) : sizeof(float));
}

void sums_pack(uint16_t *restrict out, const float *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        out[i] = (uint16_t)(bits >> 16);
    }
}

void sums_unpack(float *restrict out, const void *restrict bytes, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, (const char *)bytes + (size_t)i * sizeof half, sizeof half);
        const uint32_t wide = (uint32_t)half << 16;
        memcpy(out + i, &wide, sizeof wide);
    }
}
