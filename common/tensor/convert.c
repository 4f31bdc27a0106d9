/* Numbers of a file -> float, and back. Data may be unaligned: every element is copied out. */
#include "common/tensor/safetensors.h"

#include <math.h>
#include <string.h>

/* IEEE 754 half: 5 bits of exponent, 10 of fraction; subnormals are fraction * 2^-24. */
static float from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023;
    float value = (float)fraction * 0x1p-24f;
    if (exponent == 0)
        return sign ? -value : value;
    const uint32_t bits = sign | (exponent == 31 ? 255U : exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void halves(float *out, const char *data, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, data + 2 * i, sizeof h);
        out[i] = from_half(h);
    }
}

static void brains(float *out, const char *data, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, data + 2 * i, sizeof h);
        const uint32_t bits = (uint32_t)h << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static void doubles(float *out, const char *data, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double d;
        memcpy(&d, data + 8 * i, sizeof d);
        out[i] = (float)d;
    }
}

bool tensor_to_f32(float *out, const TensorView *t, int64_t begin, int64_t n, Err *err)
{
    REQUIRE(begin >= 0 && n >= 0 && begin + n <= t->count);
    const char *data = t->data;
    switch (t->dtype) {
    case DTYPE_F32:
        memcpy(out, data + 4 * begin, (size_t)n * sizeof *out);
        return true;
    case DTYPE_F16:
        halves(out, data + 2 * begin, n);
        return true;
    case DTYPE_BF16:
        brains(out, data + 2 * begin, n);
        return true;
    case DTYPE_F64:
        doubles(out, data + 8 * begin, n);
        return true;
    case DTYPE_I64:
    case DTYPE_I32:
    case DTYPE_OTHER:
        break;
    }
    err_set(err, ERR_INPUT, "its dtype is %s", t->dtype_name);
    err_at(err, "%s: %s", t->file, t->name);
    return err_hint(err, "weights may be F32, F16, BF16 or F64");
}

/* ---- back ------------------------------------------------------------------------ */

uint16_t tensor_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t tensor_f16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (isnan(x))
        return (uint16_t)(sign | 0x7e00);
    if (bits >= 0x47800000) /* 65536 and above */
        return (uint16_t)(sign | 0x7c00);
    if (bits < 0x38800000) /* below the least normal: a multiple of 2^-24 */
        return (uint16_t)(sign | (uint16_t)rintf(fabsf(x) * 0x1p24f));
    bits -= 112U << 23;
    return (uint16_t)(sign | (uint16_t)((bits + 0xfff + (bits >> 13 & 1)) >> 13));
}

int64_t dtype_bytes(Dtype dtype)
{
    static const int64_t bytes[] = { [DTYPE_F32] = 4, [DTYPE_F16] = 2, [DTYPE_BF16] = 2, [DTYPE_F64] = 8,
                                     [DTYPE_I64] = 8, [DTYPE_I32] = 4, [DTYPE_OTHER] = 0 };
    return bytes[dtype];
}

enum { CHUNK = 4096 };

/* out[n] <- x[n] as 16 bits each. */
static void round_chunk(uint16_t *out, Dtype dtype, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = dtype == DTYPE_BF16 ? tensor_bf16(x[i]) : tensor_f16(x[i]);
}

static double loss_of(const uint16_t *rounded, Dtype dtype, const float *x, int64_t n)
{
    float back[CHUNK];
    double sum = 0;
    (dtype == DTYPE_BF16 ? brains : halves)(back, (const char *)rounded, n);
    for (int64_t i = 0; i < n; i++)
        sum += ((double)back[i] - x[i]) * ((double)back[i] - x[i]);
    return sum;
}

static bool check_range(const uint16_t *rounded, const float *x, int64_t n, Err *err)
{
    for (int64_t i = 0; i < n; i++)
        if ((rounded[i] & 0x7fff) == 0x7c00 && isfinite(x[i])) {
            err_set(err, ERR_INPUT, "%g is too large for F16, whose largest is 65504", (double)x[i]);
            return err_hint(err, "write BF16 or F32");
        }
    return true;
}

bool tensor_write_f32(FILE *file, Dtype dtype, const float *x, int64_t n, double *lost, Err *err)
{
    uint16_t room[CHUNK];
    if (dtype == DTYPE_F32)
        return fwrite(x, sizeof *x, (size_t)n, file) == (size_t)n || err_errno(err, "cannot write");
    if (dtype != DTYPE_F16 && dtype != DTYPE_BF16)
        return err_set(err, ERR_INPUT, "numbers are written as F32, F16 or BF16 only");
    for (int64_t at = 0; at < n; at += CHUNK) {
        const int64_t size = n - at < CHUNK ? n - at : CHUNK;
        round_chunk(room, dtype, x + at, size);
        if (dtype == DTYPE_F16 && !check_range(room, x + at, size, err))
            return false;
        if (lost)
            *lost += loss_of(room, dtype, x + at, size);
        if (fwrite(room, sizeof *room, (size_t)size, file) != (size_t)size)
            return err_errno(err, "cannot write");
    }
    return true;
}
