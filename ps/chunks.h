/* chunks - the sums of an evaluation, a list of doubles a chunk, until all are in. The core's, which alone uses it.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_CHUNKS_H
#define PS_CHUNKS_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed is empty. */
typedef struct Chunks {
    double **sums; /* [n], owned; NULL where none came yet */
    int64_t *sizes; /* [n] doubles */
    int64_t n;
} Chunks;

void chunks_open(Chunks *chunks, int64_t n); /* empty before */
void chunks_drop(Chunks *chunks);

/* sums: [size], taken when they are the first of this chunk; false: they are not. */
bool chunks_add(Chunks *chunks, int64_t chunk, double *sums, int64_t size);

#endif
