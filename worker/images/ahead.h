/* ahead - images made by threads before they are asked for.
 *
 * An image is a function of its row and epoch alone: what is not ready is made by whoever asks, and is the
 * same. The makers run only where a core has nothing else to do (SCHED_IDLE): while ranks wait for each other
 * or for the server, and never instead of the model.
 *
 * Owner: the Pixels. Threads: any may take; one expects, starts and stops. */
#ifndef WORKER_IMAGES_AHEAD_H
#define WORKER_IMAGES_AHEAD_H

#include "common/base/err.h"

#include <stdint.h>

typedef struct Ahead Ahead;

/* Writes planes[size]; called by several threads at once. */
typedef bool (*AheadMake)(const void *self, uint8_t *planes, int64_t row, int64_t epoch, Err *err);

/* Room for `room` images of `size` bytes; threads >= 1. Borrows self. */
MUST_USE Ahead *ahead_start(AheadMake make, const void *self, int64_t size, int64_t room, int threads, Err *err);
void ahead_stop(Ahead *ahead); /* NULL is fine */

/* These are asked for next, in this order, as far as there is room; what was expected before is forgotten. */
void ahead_expect(Ahead *ahead, const uint32_t *rows, int64_t count, int64_t epoch);

/* planes[size] (written). */
MUST_USE bool ahead_take(Ahead *ahead, uint8_t *planes, int64_t row, int64_t epoch, Err *err);

#endif
