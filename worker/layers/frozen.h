/* frozen - a matrix of the base that nobody trains, seen through what it is stored as.
 *
 * Layers know three verbs; only this module knows bytes: what packs, unpacks or multiplies
 * packed rows comes in here, as a kind. Gains, biases and small tables are always floats
 * (frozen_floats).
 *
 * A value; data and scales are borrowed, const, and may be shared by the ranks of a node.
 * Threads: any. */
#ifndef WORKER_LAYERS_FROZEN_H
#define WORKER_LAYERS_FROZEN_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { FROZEN_F32 } FrozenKind;

typedef struct Frozen {
    FrozenKind kind;
    const void *data; /* [out,in], rows one behind the other; NULL: planning only */
    const float *scales; /* of a kind that has them; else NULL */
    int64_t out, in;
} Frozen;

/* Bytes of [out,in] by this kind, without its scales. */
int64_t frozen_bytes(FrozenKind kind, int64_t out, int64_t in);

/* A matrix of floats: what stands for a frozen one that is trained. */
Frozen frozen_of_floats(const float *data, int64_t out, int64_t in);

/* Takes the rows that lie behind its own into the view: matrices that are one product. */
void frozen_join(Frozen *w, const Frozen *behind);

/* y[N,out] (row stride ldy, written) = x[N,in] W^T; apart: a row's numbers are those that it has alone, to the bit */
void frozen_product(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, bool apart);

/* dx[N,in] = beta dx + g[N,out] W (row stride ldg): the gradient at x of the product */
void frozen_pull(float *dx, const float *g, int64_t ldg, const Frozen *w, int64_t N, float beta);

/* x[in] = row o of W */
void frozen_row(float *x, const Frozen *w, int64_t o);

/* The floats themselves, of what is FROZEN_F32; NULL: planning only. */
const float *frozen_floats(const Frozen *w);

#endif
