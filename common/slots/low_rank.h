/* low_rank - the nearest matrix of a rank, as B A: the singular value decomposition, cut off, B = U S and A = V^T.
 *
 * Threads: any. */
#ifndef COMMON_SLOTS_LOW_RANK_H
#define COMMON_SLOTS_LOW_RANK_H

#include "common/base/err.h"

#include <stdint.h>

/* B[m, r], A[r, n] of D[m, n]; what D has not of rank is zero. By the eigenvectors of D D^T or D^T D, the smaller, in
 * double: about 50 min(m, n)^3 operations, and twice that number squared of memory. */
MUST_USE bool low_rank(float *B, float *A, int64_t r, const float *D, int64_t m, int64_t n, Err *err);

/* The same of D = L R, L[m, k], R[k, n], without making D: about 50 k^3 and k^2 (m + n). */
MUST_USE bool low_rank_of_product(float *B, float *A, int64_t r, const float *L, const float *R, int64_t m, int64_t k,
                                  int64_t n, Err *err);

#endif
