/* frozen - a matrix of the base that nobody trains, seen through what it is stored as.
 *
 * Layers know three verbs; only this module knows bytes. What is not stored as floats is unpacked, some rows at a
 * time, into room of the caller's (frozen_room), and multiplied as floats are: so a product is, to the bit, that of
 * the numbers which are stored. Where the level in use has products in bf16 (worker/kernels/levels.h), both factors
 * are rounded to bf16 and multiplied by those; not a single row, nor rows that are wanted apart, where reading W is
 * what takes the time. Gains, biases and small tables are always floats (frozen_floats).
 *
 * A value; data and scales are borrowed, const, and may be shared by the ranks of a node.
 * Threads: any. */
#ifndef WORKER_LAYERS_FROZEN_H
#define WORKER_LAYERS_FROZEN_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    FROZEN_F32,
    FROZEN_BF16, /* the upper half of each float */
    FROZEN_INT8, /* bytes, a scale a row (common/tensor/quant.h, as the next two) */
    FROZEN_NF4, /* two a byte, a scale a block of 64 */
    FROZEN_NF4_DOUBLE /* the scales are bytes, too */
} FrozenKind;

/* Rows that are stored together. */
typedef struct FrozenPart {
    FrozenKind kind;
    int64_t rows;
    const void *data; /* one row behind the other; NULL: planning only */
    const float *scales; /* int8: [rows]; nf4: [blocks]; double: the mean, then [nested] */
    const uint8_t *codes; /* of scales: double's [blocks] */
    const float *table; /* [256] that those stand for */
} FrozenPart;

enum { FROZEN_PARTS = 3 };

typedef struct Frozen {
    int parts;
    FrozenPart part[FROZEN_PARTS];
    int64_t out, in; /* rows of all parts, numbers of a row */
} Frozen;

/* Bytes of the data of [out,in] by this kind, without scales. */
int64_t frozen_bytes(FrozenKind kind, int64_t out, int64_t in);

/* A matrix of one part. */
Frozen frozen_of(const FrozenPart *part, int64_t in);

/* A matrix of floats: what stands for a frozen one that is trained. */
Frozen frozen_of_floats(const float *data, int64_t out, int64_t in);

/* Takes the rows of `behind` into the view: matrices that are one product. Floats lie one behind the other; halves that
 * do, too, become one part. */
void frozen_join(Frozen *w, const Frozen *behind);

/* Floats of room that products of it need; 0: none. */
int64_t frozen_room(const Frozen *w);

/* y[N,out] (row stride ldy, written) = x[N,in] W^T; apart: a row's numbers are those that it has alone, to the bit */
void frozen_product(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, bool apart, float *room);

/* dx[N,in] = beta dx + g[N,out] W (row stride ldg): the gradient at x of the product */
void frozen_pull(float *dx, const float *g, int64_t ldg, const Frozen *w, int64_t N, float beta, float *room);

/* x[in] = row o of W */
void frozen_row(float *x, const Frozen *w, int64_t o);

/* The floats themselves, of what is FROZEN_F32; NULL: planning only. */
const float *frozen_floats(const Frozen *w);

#endif
