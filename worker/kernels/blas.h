/* blas - OpenBLAS, loaded at run time, because it chooses the kernels of its products (its "core")
 * while it is being loaded: by a list of CPU models, on which a CPU newer than the library is not,
 * unless OPENBLAS_CORETYPE names one. So the core is named by us, and read back.
 *
 * A product is computed by the calling thread alone, whatever flavour of the library is installed;
 * threads are gemm.h's.
 *
 * Threads: load and unload from one, while nobody computes; products from any. */
#ifndef WORKER_KERNELS_BLAS_H
#define WORKER_KERNELS_BLAS_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Loads the library with the core's kernels; whatever was loaded goes. NULL: the library's own choice.
 * False: no library, or no address space for its buffers. The core may be another than was asked for: blas_core()
 * tells. */
MUST_USE bool blas_load(const char *core, Err *err);

const char *blas_core(void); /* "Haswell"; "" before blas_load */
const char *blas_library(void); /* "OpenBLAS 0.3.21" ...; "" before blas_load */

/* c[M,N] = alpha * op(a) . op(b) + beta * c, row-major, with row strides; op is the transpose where
 * turn_a or turn_b. M, N, K > 0. */
void blas_sgemm(bool turn_a, bool turn_b, int64_t M, int64_t N, int64_t K, float alpha, const float *a, int64_t lda,
                const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

#endif
