/* bf16_products - products with a frozen matrix of bf16, by the CPU's own bf16 instructions (AVX-512 BF16, or AMX's tiles): floats are
 * rounded to bf16 (to the nearest, ties to even) as they are packed, pairs are multiplied and added up in fp32. On a
 * core of AMD's Zen 5 twice as fast as fp32.
 *
 * The matrix lies as it is stored, row by row, once a node, for forward and backward alike; what a product needs of it
 * is packed as it is read, which costs 1 to 2% at 1,024 rows of the other factor.
 *
 * A number of the result is one sum in the order of its terms, in blocks of BF16_BLOCK: it depends on nothing else that
 * is computed beside it, so on no number of rows and no number of threads.
 *
 * Threads: called from one thread at a time; shared out as by OpenMP's loops of kernels.h. */
#ifndef WORKER_KERNELS_BF16_PRODUCTS_H
#define WORKER_KERNELS_BF16_PRODUCTS_H

#include <stdbool.h>
#include <stdint.h>

/* Terms of a sum that stay in registers; rows and terms of the float factor that lie packed at a time. */
enum { BF16_BLOCK = 768, BF16_ROWS = 1024, BF16_DEPTH = 4 * BF16_BLOCK };

/* Floats of room for products whose sums have `most` terms. */
static inline int64_t bf16_room(int64_t most)
{
    enum { LINE = 64 / sizeof(float) }; /* 32 terms, with which both kinds begin anew */
    return LINE + BF16_ROWS * (((most < BF16_DEPTH ? most : BF16_DEPTH) + 2 * LINE - 1) / (2 * LINE)) * LINE;
}

typedef struct Bf16Products {
    /* y[N,O] = x[N,I] . w[O,I]^T + beta * y     (row strides ldy, ldx) */
    void (*nt)(float *y, int64_t ldy, const float *x, int64_t ldx, const uint16_t *w, int64_t N, int64_t O, int64_t I,
               float beta, float *room);
    /* y[N,I] = x[N,O] . w[O,I] + beta * y */
    void (*nn)(float *y, int64_t ldy, const float *x, int64_t ldx, const uint16_t *w, int64_t N, int64_t I, int64_t O,
               float beta, float *room);
    /* out[n] = x[n], rounded as the products do */
    void (*round)(uint16_t *out, const float *x, int64_t n);
} Bf16Products;

/* Only where the CPU has the instructions (bf16_can, amx_can). Their sums are added up in other orders: AMX adds those of a
 * tile's even and of its odd terms first. */
extern const Bf16Products bf16_avx512, bf16_amx;
bool bf16_can(void);
bool amx_can(void); /* the system lets this process have the tiles, from then on */

/* out[n] = x[n], as both round: to the nearest, ties to even. */
void bf16_round(uint16_t *out, const float *x, int64_t n);

/* Those of the level in use (levels.h); NULL: it multiplies floats. */
extern const Bf16Products *bf16_products;

#endif
