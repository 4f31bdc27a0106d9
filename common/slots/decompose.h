/* decompose - the leading parts of a matrix w[m,n] (rows one behind the other): singular triplets, or those of its
 * QR. Plain C in double, every sum in one order: the same bits on every machine, whichever BLAS it has.
 *
 * Parts: u[r,m], s[r], v[r,n], one vector a row; w is about sum_i s_i u_i v_i^T. Signs are free. r <= min(m, n).
 * Vectors whose s is 0 are zero, too.
 *
 * Owner: the caller, of parts. Threads: any. Errors: no memory. */
#ifndef COMMON_SLOTS_DECOMPOSE_H
#define COMMON_SLOTS_DECOMPOSE_H

#include "common/base/err.h"
#include "common/base/rng.h"

typedef struct Matrix {
    const float *w; /* [m,n], borrowed */
    int64_t m, n;
} Matrix;

typedef struct Parts {
    double *u, *s, *v; /* owned */
    int64_t r;
} Parts;

void parts_release(Parts *parts);

/* The r largest singular values with their vectors: Lanczos on the smaller of W^T W and W W^T, every vector made
 * orthogonal to all before it, until the r largest stand to 1e-12 of the largest (Golub, Van Loan, 10.1, 10.3).
 * `key`: of the first vector. */
MUST_USE bool parts_singular(Parts *parts, const Matrix *w, int64_t r, RngKey key, Err *err);

/* torch.svd_lowrank(W, q=r, niter=rounds): the singular triplets of W seen in the space of `rounds` power iterations
 * on r random vectors (Halko, Martinsson, Tropp 2011, algorithm 4.4, without oversampling). */
MUST_USE bool parts_sampled(Parts *parts, const Matrix *w, int64_t r, int rounds, RngKey key, Err *err);

/* W = Q R, its first r: u_i = column i of Q, v_i = row i of R, s_i = 1. A column that depends on those before it
 * gives a random direction instead, as good as any. */
MUST_USE bool parts_qr(Parts *parts, const Matrix *w, int64_t r, RngKey key, Err *err);

#endif
