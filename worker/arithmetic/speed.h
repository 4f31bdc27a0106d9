/* speed - how fast products are here, beside what the CPU's vector units can do at the most.
 *
 * Threads: one, behind arithmetic_start; it leaves products to one thread (arithmetic_threads). */
#ifndef WORKER_ARITHMETIC_SPEED_H
#define WORKER_ARITHMETIC_SPEED_H

#include <stdint.h>

typedef struct Speed {
    double products; /* GFLOP/s of one core, of a product of a model's size */
    double most; /* of multiply-adds of the level in use, in registers */
} Speed;

/* GFLOP/s of one core, of y[m,n] = x[m,k] w[n,k]^T; takes about ten of these products. */
double speed_of_products(int64_t m, int64_t n, int64_t k);

/* By the time that this thread had a core, so that what else runs counts little; takes about 0.3 s of it. */
Speed speed_measure(void);

#endif
