#include "common/tensor/quant.h"

#include <math.h>
#include <string.h>

#define NUMBER(x) x,
const float nf4_numbers[NF4_CODES] = { NF4_LIST(NUMBER) };

static float largest(const float *x, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

float int8_pack(int8_t *q, const float *x, int64_t n)
{
    const float most = largest(x, n),
                scale = most > 0 ? 1.0f / most * 127.0f : 0.0f; /* as torch divides a number by a vector */
    for (int64_t i = 0; i < n; i++)
        q[i] = (int8_t)rintf(x[i] * scale); /* halves go to even */
    return most / 127.0f;
}

/* Of rising numbers the nearest; half way the lower. */
static uint8_t nearest(const float *table, int count, float x)
{
    int low = 0, high = count - 1; /* the answer is one of these and what lies between */
    while (low < high) {
        const int middle = (low + high) / 2;
        if (x > (table[middle] + table[middle + 1]) / 2)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint8_t)low;
}

static float clamp(float x)
{
    return x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
}

/* Codes of one block, whose first number is an even one. */
static float pack_block(uint8_t *codes, const float *x, int64_t n)
{
    enum { CODE_OF_ZERO = 7 };
    const float most = largest(x, n), inverse = 1.0f / (most > 1e-38f ? most : 1e-38f);
    for (int64_t i = 0; i < n; i += 2) {
        const uint8_t first = nearest(nf4_numbers, NF4_CODES, clamp(x[i] * inverse));
        const uint8_t second =
            i + 1 < n ? nearest(nf4_numbers, NF4_CODES, clamp(x[i + 1] * inverse)) : (uint8_t)CODE_OF_ZERO;
        codes[i / 2] = (uint8_t)(first << 4 | second);
    }
    return most;
}

void nf4_pack(uint8_t *codes, float *absmax, const float *x, int64_t n)
{
    for (int64_t at = 0; at < n; at += NF4_BLOCK)
        absmax[at / NF4_BLOCK] = pack_block(codes + at / 2, x + at, n - at < NF4_BLOCK ? n - at : NF4_BLOCK);
}

/* Point k of count + 1 from 0.1 to 1, as torch.linspace makes it: from the nearer end. */
static float point(int k, int count)
{
    const float step = (1.0f - 0.1f) / (float)count;
    return k < (count + 1) / 2 ? fmaf(step, (float)k, 0.1f) : fmaf(-step, (float)(count - k), 1.0f);
}

/* For i = 0 .. 6 the 2^i midpoints of 2^i + 1 points from 0.1 to 1, times 10^(i-6), with both signs; 0 and 1. Source:
 * bitsandbytes, create_dynamic_map. */
void nf4_dynamic(float table[256])
{
    static const float powers[] = { 1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f };
    enum { ZERO = 127 };
    int at = ZERO;
    table[at] = 0;
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 1 << i; k++) {
            const float value = (point(k, 1 << i) + point(k + 1, 1 << i)) / 2.0f * powers[i];
            table[++at] = value;
            table[ZERO - (at - ZERO)] = -value;
        }
    table[255] = 1;
}

/* The mean is part of the format, and its last bit depends on the order of the sum: that of torch's CPU kernel with
 * vectors of 8 floats and one thread (SumKernel.cpp). Lane l of vector v goes to sum v % 4, and sums are put aside, level
 * by level, every so many vectors. */
enum { LANES = 8, SUMS = 4, LEVELS = 4, VECTORS = LANES * SUMS };

static float sum_of_lane(const float *x, int64_t size)
{
    float level[LEVELS] = { 0 };
    int power = 0;
    while (((int64_t)1 << power) < size)
        power++;
    power = power / LEVELS > 4 ? power / LEVELS : 4;
    int64_t i = 0;
    while (i + ((int64_t)1 << power) <= size) {
        for (int64_t end = i + ((int64_t)1 << power); i < end; i++)
            level[0] += x[i * VECTORS];
        for (int j = 1; j < LEVELS; j++) {
            level[j] += level[j - 1];
            level[j - 1] = 0;
            if (i & (((int64_t)1 << power) - 1) << j * power)
                break;
        }
    }
    for (; i < size; i++)
        level[0] += x[i * VECTORS];
    for (int j = 1; j < LEVELS; j++)
        level[0] += level[j];
    return level[0];
}

static float mean(const float *x, int64_t n)
{
    const int64_t vectors = n / LANES, rows = vectors / SUMS;
    float total = 0;
    for (int64_t i = vectors * LANES; i < n; i++)
        total += x[i];
    for (int lane = 0; lane < LANES; lane++) {
        float sum = sum_of_lane(x + lane, rows);
        for (int64_t v = rows * SUMS; v < vectors; v++)
            sum += x[v * LANES + lane];
        for (int k = 1; k < SUMS; k++)
            sum += sum_of_lane(x + k * LANES + lane, rows);
        total += sum;
    }
    return total / (float)n;
}

void nf4_pack_scales(uint8_t *index, float *nested, float *offset, const float *absmax, int64_t blocks,
                     const float table[256])
{
    float rest[NF4_NESTED];
    *offset = mean(absmax, blocks);
    for (int64_t at = 0; at < blocks; at += NF4_NESTED) {
        const int64_t n = blocks - at < NF4_NESTED ? blocks - at : NF4_NESTED;
        for (int64_t i = 0; i < n; i++)
            rest[i] = absmax[at + i] - *offset;
        const float most = largest(rest, n), inverse = 1.0f / (most > 1e-38f ? most : 1e-38f);
        nested[at / NF4_NESTED] = most;
        for (int64_t i = 0; i < n; i++)
            index[at + i] = nearest(table, 256, clamp(rest[i] * inverse));
    }
}
