/* vmath - exp, log, tanh and the normal distribution in float, as straight-line code
 * that the compiler turns into vectors inside a `#pragma omp simd` loop. Libm's
 * functions are calls, which would keep such a loop scalar. NaN passes through.
 *
 * Coefficients: vm_exp and vm_tanh are Cephes' (expf, tanhf); vm_normal's were
 * fitted for these kernels (weighted least squares driven to equal ripple).
 *
 * Threads: any. */
#ifndef WORKER_KERNELS_VMATH_H
#define WORKER_KERNELS_VMATH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* e^x within 1 ulp; 0 below -87.33 (results that would be denormal), and no
 * larger than e^88.37 = 2.4e38 above.
 *
 * x = n ln2 + r with |r| <= ln2 / 2; e^r is a polynomial, 2^n is put straight
 * into the exponent. Adding 1.5 * 2^23 rounds n to a whole number and leaves it
 * in the low bits of the sum. */
static inline float vm_exp(float x)
{
    const float low = -87.33654f, high = 88.37626f, magic = 0x1.8p23f;
    float clipped = x < low ? low : x;
    clipped = clipped > high ? high : clipped;
    const float shifted = clipped * 1.44269504088896341f + magic;
    const float n = shifted - magic;
    const float r = (clipped - n * 0.693359375f) + n * 2.12194440e-4f; /* ln2 in two parts */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127U) << 23; /* magic's own low bits are shifted out */
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < low ? 0.0f : p * power;
}

/* log x within 0.82 ulp; glibc's logf is the same, to the bit: Arm's optimized routines, whose
 * table and factors these are. x = z 2^k with z in [0.7, 1.4), and log z = log c + log(1 + r), r = z / c - 1, for
 * the c of z's sixteenth. No vectors: once a row. */
static inline float vm_log(float x)
{
    static const struct {
        double inverse, log; /* of c */
    } table[16] = {
        { 0x1.661ec79f8f3bep+0, -0x1.57bf7808caadep-2 }, { 0x1.571ed4aaf883dp+0, -0x1.2bef0a7c06ddbp-2 },
        { 0x1.49539f0f010bp+0, -0x1.01eae7f513a67p-2 },  { 0x1.3c995b0b80385p+0, -0x1.b31d8a68224e9p-3 },
        { 0x1.30d190c8864a5p+0, -0x1.6574f0ac07758p-3 }, { 0x1.25e227b0b8eap+0, -0x1.1aa2bc79c81p-3 },
        { 0x1.1bb4a4a1a343fp+0, -0x1.a4e76ce8c0e5ep-4 }, { 0x1.12358f08ae5bap+0, -0x1.1973c5a611cccp-4 },
        { 0x1.0953f419900a7p+0, -0x1.252f438e10c1ep-5 }, { 0x1p+0, 0x0p+0 },
        { 0x1.e608cfd9a47acp-1, 0x1.aa5aa5df25984p-5 },  { 0x1.ca4b31f026aap-1, 0x1.c5e53aa362eb4p-4 },
        { 0x1.b2036576afce6p-1, 0x1.526e57720db08p-3 },  { 0x1.9c2d163a1aa2dp-1, 0x1.bc2860d22477p-3 },
        { 0x1.886e6037841edp-1, 0x1.1058bc8a07ee1p-2 },  { 0x1.767dcf5534862p-1, 0x1.4043057b6ee09p-2 },
    };
    if (!(x > 0.0f) || x > 0x1.fffffep127f)
        return x == 0.0f ? -INFINITY : x < 0.0f ? NAN : x;
    const bool small = x < 0x1p-126f;
    const float normal = small ? x * 0x1p23f : x;
    uint32_t bits;
    memcpy(&bits, &normal, sizeof bits);
    const uint32_t above = bits - 0x3f330000U; /* of 0.7 */
    const uint32_t at = above >> 19 & 15U;
    const int32_t k = ((int32_t)above >> 23) - (small ? 23 : 0);
    bits -= above & 0xff800000U;
    float z;
    memcpy(&z, &bits, sizeof z);
    const double r = (double)z * table[at].inverse - 1.0, square = r * r;
    double p = 0x1.5575b0be00b6ap-2 * r - 0x1.ffffef20a4123p-2;
    p = -0x1.00ea348b88334p-2 * square + p;
    return (float)(p * square + ((table[at].log + k * 0x1.62e42fefa39efp-1) + r));
}

/* 1 / (1 + e^-x) */
static inline float vm_sigmoid(float x)
{
    return 1.0f / (1.0f + vm_exp(-x));
}

/* tanh x within 2 ulp: an odd polynomial near 0, else 1 - 2 / (e^2|x| + 1). */
static inline float vm_tanh(float x)
{
    const float a = fabsf(x), s = x * x;
    float p = -5.70498872745e-3f;
    p = p * s + 2.06390887954e-2f;
    p = p * s - 5.37397155531e-2f;
    p = p * s + 1.33314422036e-1f;
    p = p * s - 3.33332819422e-1f;
    const float near = x + x * s * p;
    const float far = copysignf(1.0f - 2.0f / (vm_exp(2.0f * a) + 1.0f), x);
    return a > 0.625f ? far : near;
}

/* The normal distribution at x: returns P(Z <= x) = (1 + erf(x / sqrt 2)) / 2
 * with an absolute error below 9e-8; *bell receives e^(-x^2/2), which the tail
 * needs and a derivative wants too.
 *
 * |x| <= 1.25: 1/2 + x P(x^2). Beyond: the tail e^(-x^2/2) u Q(u), u = 1 / (1 + 0.33 |x|). */
static inline float vm_normal(float x, float *bell)
{
    const float a = fabsf(x), s = x * x;
    const float e = vm_exp(-0.5f * s);

    float p = 4.76074916377911e-7f;
    p = p * s - 9.05844171938952e-6f;
    p = p * s + 1.1503215500852093e-4f;
    p = p * s - 1.1871096212416887e-3f;
    p = p * s + 9.973499923944473e-3f;
    p = p * s - 6.649037450551987e-2f;
    p = p * s + 3.989422917366028e-1f;

    const float u = 1.0f / (1.0f + 0.33f * a);
    float q = -7.243841886520386e-2f;
    q = q * u + 1.3306142389774323e-1f;
    q = q * u + 5.0013720989227295e-2f;
    q = q * u + 1.268794983625412e-1f;
    q = q * u + 1.3044960796833038e-1f;
    q = q * u + 1.317107230424881e-1f;
    const float tail = e * (u * q);

    *bell = e;
    const float far = x > 0.0f ? 1.0f - tail : tail;
    return a > 1.25f ? far : 0.5f + x * p;
}

#endif
