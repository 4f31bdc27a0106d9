#include "common/base/rng.h"
#include "common/base/maths.h"

#include "common/base/err.h"

#include <math.h>
#include <sys/random.h>

/* splitmix64's finaliser (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

RngKey rng_key(uint64_t seed, int64_t step, int64_t example, uint64_t stream)
{
    uint64_t k = mix(seed);
    k = mix(k ^ (uint64_t)step);
    k = mix(k ^ (uint64_t)example);
    k = mix(k ^ stream);
    return (RngKey){ (uint32_t)k, (uint32_t)(k >> 32) };
}

void rng_normal(float *out, int64_t n, float deviation, RngKey key)
{
    for (int64_t i = 0; i < n; i++) {
        const uint32_t pair = (uint32_t)(i & ~(int64_t)1);
        const double u = ((double)rng_bits(key, pair) + 0.5) * 0x1p-32;
        const double a = 6.283185307179586 * (double)rng_bits(key, pair + 1) * 0x1p-32;
        const double r = sqrt(-2.0 * maths_log(u));
        out[i] = deviation * (float)(r * (i & 1 ? maths_sin(a) : maths_cos(a)));
    }
}

void rng_uniform_fill(float *out, int64_t n, float bound, RngKey key)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (2.0f * rng_uniform(key, (uint32_t)i) - 1.0f) * bound;
}

/* MT19937 (Matsumoto and Nishimura 1998). */
enum { MT_N = 624, MT_M = 397 };
typedef struct Mt {
    uint32_t state[MT_N];
    int at;
} Mt;

static void mt_seed(Mt *mt, uint32_t seed)
{
    mt->state[0] = seed;
    for (uint32_t i = 1; i < MT_N; i++) {
        const uint32_t before = mt->state[i - 1];
        mt->state[i] = 1812433253U * (before ^ (before >> 30)) + i;
    }
    mt->at = MT_N;
}

static uint32_t mt_next(Mt *mt)
{
    if (mt->at == MT_N) {
        for (int i = 0; i < MT_N; i++) {
            const uint32_t y = (mt->state[i] & 0x80000000U) | (mt->state[(i + 1) % MT_N] & 0x7fffffffU);
            mt->state[i] = mt->state[(i + MT_M) % MT_N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfU : 0);
        }
        mt->at = 0;
    }
    uint32_t y = mt->state[mt->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

void rng_torch_randperm(uint32_t *order, int64_t n, uint64_t seed)
{
    REQUIRE(n >= 0 && n < 214748364);
    Mt mt;
    mt_seed(&mt, (uint32_t)seed);
    for (int64_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (int64_t i = 0; i + 1 < n; i++) {
        const int64_t j = i + (int64_t)(mt_next(&mt) % (uint32_t)(n - i));
        const uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

uint64_t rng_entropy(void)
{
    uint64_t bits = 0;
    REQUIRE(getrandom(&bits, sizeof bits, 0) == sizeof bits);
    return bits;
}
