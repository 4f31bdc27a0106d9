#include "common/slots/sums.h"

#include <math.h>
#include <string.h>

enum { GROUP = 256 }; /* numbers of int8 that share a scale */
static const float LEAST = 1e-36F; /* of a group's largest: what is smaller is left over */

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
    if (dtype != WIRE_BF16)
        return;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] = to_bf16(x[i]);
}

void sums_add(WireDtype dtype, float *restrict left, const float *restrict right, int64_t n)
{
    if (dtype != WIRE_BF16) {
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
    const int64_t groups = (n + GROUP - 1) / GROUP;
    if (dtype == WIRE_INT8)
        return (size_t)n + (size_t)groups * sizeof(float);
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

static void unpack_bf16(float *restrict out, const char *bytes, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + (size_t)i * sizeof half, sizeof half);
        const uint32_t wide = (uint32_t)half << 16;
        memcpy(out + i, &wide, sizeof wide);
    }
}

/* A group is its scale and its numbers, one behind the other. */
static void unpack_int8(float *restrict out, const char *bytes, int64_t n)
{
    for (int64_t begin = 0; begin < n; begin += GROUP) {
        const int64_t count = n - begin < GROUP ? n - begin : GROUP;
        float scale;
        memcpy(&scale, bytes, sizeof scale);
        bytes += sizeof scale;
        for (int64_t i = 0; i < count; i++)
            out[begin + i] = scale * (float)(signed char)bytes[i];
        bytes += count;
    }
}

void sums_unpack(WireDtype dtype, float *restrict out, const void *restrict bytes, int64_t n)
{
    if (dtype == WIRE_BF16)
        unpack_bf16(out, bytes, n);
    else if (dtype == WIRE_INT8)
        unpack_int8(out, bytes, n);
    else
        memcpy(out, bytes, (size_t)n * sizeof *out);
}

/* The largest magnitude of left + x, which is then in left. Not finite: one of them is not. */
static float add_up(float *restrict left, const float *restrict x, int64_t n)
{
    float largest = 0, wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        left[i] += x[i];
        wrong += left[i] * 0; /* stays 0 where all are finite */
        largest = fabsf(left[i]) > largest ? fabsf(left[i]) : largest;
    }
    return largest + wrong;
}

static void round_group(char *restrict out, float *restrict left, float largest, int64_t n)
{
    const float scale = largest / 127, times = largest > 0 ? 127 / largest : 0;
    memcpy(out, &scale, sizeof scale);
    out += sizeof scale;
    for (int64_t i = 0; i < n; i++) {
        const float rounded = nearbyintf(left[i] * times);
        out[i] = (char)(signed char)rounded;
        left[i] -= scale * rounded;
    }
}

/* All of it is a NaN. */
static void spoil_group(char *out, float *left, int64_t n)
{
    const float scale = NAN;
    memcpy(out, &scale, sizeof scale);
    memset(out + sizeof scale, 1, (size_t)n);
    memset(left, 0, (size_t)n * sizeof *left);
}

void sums_round(void *out, const float *x, float *left, int64_t n)
{
    char *to = out;
    for (int64_t begin = 0; begin < n; begin += GROUP) {
        const int64_t count = n - begin < GROUP ? n - begin : GROUP;
        const float largest = add_up(left + begin, x + begin, count);
        if (isfinite(largest))
            round_group(to, left + begin, largest > LEAST ? largest : 0, count);
        else
            spoil_group(to, left + begin, count);
        to += sizeof(float) + (size_t)count;
    }
}
