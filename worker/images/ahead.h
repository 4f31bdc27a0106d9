/* ahead - images made by threads before they are asked for, so that nobody waits for them.
 *
 * An image is a function of its row and epoch alone: what was not announced, or not yet begun, the caller
 * makes itself, and gets the same.
 *
 * Threads: one caller; the makers are inside. */
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

/* To be asked for soon, in the order of the calls. Forgotten where there is no room. */
void ahead_expect(Ahead *ahead, int64_t row, int64_t epoch);

/* The image; lent until the next call. What was expected before it and not taken is forgotten. */
MUST_USE const uint8_t *ahead_take(Ahead *ahead, int64_t row, int64_t epoch, Err *err);

#endif
