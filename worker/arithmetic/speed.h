/* speed - how fast products are here, beside what the CPU's vector units can do at the most.
 *
 * Threads: one, behind arithmetic_start; takes about 0.3 s of one core. */
#ifndef WORKER_ARITHMETIC_SPEED_H
#define WORKER_ARITHMETIC_SPEED_H

typedef struct Speed {
    double products; /* GFLOP/s of one core, of a product of a model's size */
    double most; /* of multiply-adds of the level in use, in registers */
} Speed;

/* By the time that this thread had a core, so that what else runs counts little. */
Speed speed_measure(void);

#endif
