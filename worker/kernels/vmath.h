/* vmath - exp, tanh and the normal distribution in float, as straight-line code
 * that the compiler turns into vectors inside a `#pragma omp simd` loop. Libm's
 * functions are calls, which would keep such a loop scalar. NaN passes through.
 *
 * Coefficients: vm_exp and vm_tanh are Cephes' (expf, tanhf); vm_normal's were
 * fitted for these kernels (weighted least squares driven to equal ripple). */
#ifndef WORKER_KERNELS_VMATH_H
#define WORKER_KERNELS_VMATH_H

#include <math.h>
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
