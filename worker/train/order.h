/* order - in which order a stage of a pipeline computes the micro-batches of a lane: as many forwards as it takes until
 * the first gradient comes back, then a backward and a forward in turn, then the backwards that are left (1F1B, Narayanan
 * 2019). The list of a single stage is F0 B0 F1 B1 ... A pure function.
 *
 * Threads: any. */
#ifndef WORKER_TRAIN_ORDER_H
#define WORKER_TRAIN_ORDER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct OrderStep {
    bool back; /* backward; else forward */
    int64_t i; /* of [0, m) */
} OrderStep;

/* Micro-batches between forward and backward at the most. */
int order_flights(int stages, int stage, int64_t m);

/* Entry k of [0, 2 m) of the list. */
OrderStep order_step(int stages, int stage, int64_t m, int64_t k);

#endif
