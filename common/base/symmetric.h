/* symmetric - eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations: short, and exact to the last
 * digits; about 50 n^3 operations.
 *
 * Threads: any. */
#ifndef COMMON_BASE_SYMMETRIC_H
#define COMMON_BASE_SYMMETRIC_H

#include <stdint.h>

/* a[n, n], symmetric, is destroyed. values[n], the largest first; vectors[n, n]: row i belongs to values[i], rows are
 * orthonormal. */
void symmetric_eigen(double *values, double *vectors, double *a, int64_t n);

#endif
