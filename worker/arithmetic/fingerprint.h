/* fingerprint - what the kernels and products of this process give for fixed inputs: right, and which bits.
 *
 * Threads: one; takes some 10 ms. */
#ifndef WORKER_ARITHMETIC_FINGERPRINT_H
#define WORKER_ARITHMETIC_FINGERPRINT_H

#include "worker/kernels/bf16_products.h"
#include "worker/kernels/levels.h"

#include <stddef.h>

/* Products of blas.h as it is loaded, against a plain loop in double. *digest takes their bits in, when
 * they are right. False: `wrong` says which is not. */
bool fingerprint_products(uint64_t *digest, char *wrong, size_t room);

/* Does BLAS give the same bits for a product and for its tiles (gemm.h)? */
bool fingerprint_tiles_join(void);

/* Every kernel of a level, against the lowest level's; of what is exact (unpack_...) the digest knows nothing. */
bool fingerprint_kernels(uint64_t *digest, const Level *level, char *wrong, size_t room);

/* Products in bf16, as fingerprint_products. */
bool fingerprint_bf16(uint64_t *digest, const Bf16Products *products, char *wrong, size_t room);

/* What exp, sin and their like give (common/base/maths): the same everywhere, if the compiler keeps to IEEE 754. */
uint64_t fingerprint_maths(uint64_t digest);

#endif
