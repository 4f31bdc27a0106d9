/* rng - random numbers that are a pure function of a key and a counter, so
 * that they do not depend on who draws them, or when.
 *
 * A key is made of (seed, step, example, stream): `stream` is the place in
 * the model (layer, site); the counter is the element's index inside it.
 * The element function is two rounds of a 32-bit multiply-xorshift mixer with
 * the key's halves put in between; it vectorises.
 *
 * Also the one generator that has to be somebody else's: torch's randperm
 * (MT19937), because the order of the training data is Trainer's own.
 *
 * Owner: none, values. Threads: any. */
#ifndef COMMON_BASE_RNG_H
#define COMMON_BASE_RNG_H

#include <stdint.h>

typedef struct RngKey {
    uint32_t lo, hi;
} RngKey;

RngKey rng_key(uint64_t seed, int64_t step, int64_t example, uint64_t stream);

/* 32 random bits for element i. */
static inline uint32_t rng_bits(RngKey key, uint32_t i)
{
    uint32_t x = i ^ key.lo;
    x = (x ^ (x >> 16)) * 0x7feb352dU;
    x = (x ^ (x >> 15)) + key.hi;
    x = (x ^ (x >> 13)) * 0x846ca68bU;
    return x ^ (x >> 16);
}

/* In [0, 1), a multiple of 2^-24. */
static inline float rng_uniform(RngKey key, uint32_t i)
{
    return (float)(rng_bits(key, i) >> 8) * 0x1p-24f;
}

/* Dropout keeps element i when rng_bits(key, i) >= this: probability `p`
 * of being dropped, 0 <= p < 1. */
static inline uint32_t rng_threshold(float p)
{
    return (uint32_t)((double)p * 4294967296.0);
}

/* out[0,n): normal with mean 0 and the given deviation (Box-Muller over pairs). */
void rng_normal(float *out, int64_t n, float deviation, RngKey key);

/* out[0,n): uniform in [-bound, bound). */
void rng_uniform_fill(float *out, int64_t n, float bound, RngKey key);

/* order[0,n): torch.randperm(n) of a generator seeded with `seed`
 * (spec: ATen's randperm_cpu over MT19937). n < 2^32 / 20. */
void rng_torch_randperm(uint32_t *order, int64_t n, uint64_t seed);

/* Unpredictable 64 bits, for incarnations and run ids. */
uint64_t rng_entropy(void);

#endif
