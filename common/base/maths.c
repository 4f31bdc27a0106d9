#include "common/base/maths.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const double ln2 = 0x1.62e42fefa2p-1, ln2_rest = 0x1.9ef35793c7673p-41; /* 40 bits, and what is left */
static const double magic = 0x1.8p52; /* added and taken away again: rounds to a whole number */

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A number in two parts: hi + lo, where lo is what hi was rounded by. */
typedef struct Pair {
    double hi, lo;
} Pair;

static Pair sum_of(double a, double b) /* Knuth */
{
    const double hi = a + b, b_part = hi - a;
    return (Pair){ hi, (a - (hi - b_part)) + (b - b_part) };
}

static Pair halves_of(double x) /* Veltkamp: 26 bits each */
{
    const double wide = 134217729.0 * x, hi = wide - (wide - x);
    return (Pair){ hi, x - hi };
}

static Pair product_of(double a, double b) /* Dekker */
{
    const Pair x = halves_of(a), y = halves_of(b);
    const double hi = a * b;
    return (Pair){ hi, ((x.hi * y.hi - hi) + x.hi * y.lo + x.lo * y.hi) + x.lo * y.lo };
}

/* sum_i factors[i] x^i */
static double polynomial(const double *factors, int count, double x)
{
    double sum = factors[count - 1];
    for (int i = count - 2; i >= 0; i--)
        sum = sum * x + factors[i];
    return sum;
}

/* ---- e^x ------------------------------------------------------------------------------------- */

static double scaled(double y, int k) /* y 2^k */
{
    if (k > 1023)
        return y * 0x1p1023 * from_bits((uint64_t)(k - 1023 + 1023) << 52);
    if (k < -1022)
        return y * 0x1p-1022 * from_bits((uint64_t)(k + 1022 + 1023) << 52);
    return y * from_bits((uint64_t)(k + 1023) << 52);
}

/* e^(x + rest), |rest| far below |x|: x = k ln2 + r, |r| <= ln2 / 2, and the series of e^r. */
static double exponential(double x, double rest)
{
    static const double factors[] = { 1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                      1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                      1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800 };
    if (!(x < 709.79))
        return x > 0 ? INFINITY : x; /* or NaN */
    if (x < -745.2)
        return 0;
    const double k = (x * 0x1.71547652b82fep+0 + magic) - magic;
    const double hi = x - k * ln2, lo = k * ln2_rest - rest; /* hi is exact */
    const double r = hi - lo, lost = (hi - r) - lo;
    return scaled(1 + (r + (r * r * polynomial(factors, 12, r) + lost)), (int)k);
}

double maths_exp(double x)
{
    return exponential(x, 0);
}

/* ---- log x ----------------------------------------------------------------------------------- */

/* x = m 2^*k, m in [sqrt(1/2), sqrt 2). */
static double mantissa(double x, int *k)
{
    const bool small = x < 0x1p-1022;
    uint64_t bits = bits_of(small ? x * 0x1p54 : x);
    *k = (int)(bits >> 52) - 1023 - (small ? 54 : 0);
    bits = (bits & 0xfffffffffffffU) | (uint64_t)1023 << 52;
    const double m = from_bits(bits);
    *k += m > M_SQRT2;
    return m > M_SQRT2 ? m / 2 : m;
}

/* log((1 + s) / (1 - s)) = 2s + s R(s^2): this R. |s| <= 0.172. */
static double series(double square)
{
    static const double factors[] = { 2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                                      2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23 };
    return square * polynomial(factors, 11, square);
}

/* What has no logarithm that is a number, or has it without an error. */
static bool is_odd(double x)
{
    return !(x > 0) || x > 0x1.fffffffffffffp1023;
}

static double log_of_odd(double x)
{
    if (x == 0)
        return -INFINITY;
    return x < 0 ? NAN : x; /* +inf, or NaN */
}

double maths_log(double x)
{
    int k;
    if (is_odd(x))
        return log_of_odd(x);
    const double f = mantissa(x, &k) - 1, s = f / (2 + f), half = f * f / 2;
    return k * ln2 - ((half - (s * (half + series(s * s)) + k * ln2_rest)) - f);
}

double maths_log1p(double x)
{
    const double whole = 1 + x;
    if (whole == 1 || is_odd(whole))
        return whole == 1 ? x : log_of_odd(whole);
    return maths_log(whole) + (x - (whole - 1)) / whole;
}

/* With some 60 bits. */
static Pair log_pair(double x)
{
    int k;
    const double m = mantissa(x, &k), f = m - 1, g = m + 1, s = f / g;
    const Pair back = product_of(s, g);
    const double s_lo = (((f - back.hi) - back.lo) - s * (m - (g - 1))) / g;
    const Pair sum = sum_of(k * ln2, 2 * s);
    return sum_of(sum.hi, sum.lo + (k * ln2_rest + (2 * s_lo + s * series(s * s))));
}

double maths_pow(double x, double y)
{
    if (y == 0 || x == 1)
        return 1;
    if (is_odd(x)) {
        const double l = log_of_odd(x) * y;
        return l < 0 ? 0 : l; /* +inf, or NaN */
    }
    const Pair l = log_pair(x);
    const double rough = y * l.hi;
    if (!(fabs(rough) < 800))
        return exponential(rough, 0);
    const Pair power = product_of(y, l.hi);
    return exponential(power.hi, power.lo + y * l.lo);
}

/* ---- sin x, cos x ---------------------------------------------------------------------------- */

/* x = n pi/2 + hi + lo, |hi| <= pi/4; returns n modulo 4. */
static int quarter(double x, Pair *rest)
{
    static const double parts[4] = { 0x1.921fb5p+0, 0x1.110b46p-26, 0x1.1a62630p-54, 0x1.8a2e03707344ap-81 };
    const double n = (x * M_2_PI + magic) - magic;
    const Pair first = sum_of(x - n * parts[0], -n * parts[1]); /* products of 27 and 26 bits are exact */
    *rest = sum_of(first.hi, (first.lo - n * parts[2]) - n * parts[3]);
    return (int)((int64_t)n & 3);
}

static double sine(Pair r)
{
    static const double factors[] = { -1.0 / 6,
                                      1.0 / 120,
                                      -1.0 / 5040,
                                      1.0 / 362880,
                                      -1.0 / 39916800.0,
                                      1.0 / 6227020800.0,
                                      -1.0 / 1307674368000.0,
                                      1.0 / 355687428096000.0 };
    const double square = r.hi * r.hi;
    return r.hi + (r.hi * (square * polynomial(factors, 8, square)) + r.lo * (1 - square / 2));
}

static double cosine(Pair r)
{
    static const double factors[] = { 1.0 / 24,          -1.0 / 720,           1.0 / 40320,           -1.0 / 3628800,
                                      1.0 / 479001600.0, -1.0 / 87178291200.0, 1.0 / 20922789888000.0 };
    const double square = r.hi * r.hi, half = square / 2, whole = 1 - half;
    return whole + (((1 - whole) - half) + (square * square * polynomial(factors, 7, square) - r.hi * r.lo));
}

static double circle(double x, int turned)
{
    Pair rest;
    if (!(fabs(x) <= 0x1p27))
        return NAN;
    const int n = (quarter(x, &rest) + turned) & 3;
    const double value = n & 1 ? cosine(rest) : sine(rest);
    return n & 2 ? -value : value;
}

double maths_sin(double x)
{
    return x == 0 ? x : circle(x, 0);
}

double maths_cos(double x)
{
    return circle(x, 1);
}

/* ---- what is no number ------------------------------------------------------------------ */

/* A block at a time: without a way out of it the loop becomes a wide one, as fast as memory. */
int64_t maths_not_finite(const float *x, int64_t n)
{
    enum { BLOCK = 4096 };
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int64_t end = begin + BLOCK < n ? begin + BLOCK : n;
        uint32_t bad = 0;
        for (int64_t i = begin; i < end; i++) {
            uint32_t bits;
            memcpy(&bits, &x[i], sizeof bits);
            bad |= (bits & 0x7f800000u) == 0x7f800000u;
        }
        for (int64_t i = begin; bad && i < end; i++)
            if (!isfinite(x[i]))
                return i;
    }
    return n;
}

void maths_softmax(double *p, const float *logits, int64_t n)
{
    double most = (double)logits[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        most = (double)logits[i] > most ? (double)logits[i] : most;
    for (int64_t i = 0; i < n; i++)
        sum += p[i] = maths_exp((double)logits[i] - most);
    for (int64_t i = 0; i < n; i++)
        p[i] /= sum;
}
