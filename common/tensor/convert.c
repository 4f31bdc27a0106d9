/* Numbers of a file -> float. Data may be unaligned: every element is copied out. */
#include "common/tensor/safetensors.h"

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
