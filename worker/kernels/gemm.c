#include "worker/kernels/gemm.h"

#include "common/base/err.h"

#include <cblas.h>
#include <limits.h>
#include <omp.h>
#include <stdbool.h>

#undef I /* complex.h, which cblas.h brings in, takes the letter */

void gemm_set_threads(int n)
{
    REQUIRE(n >= 1);
    openblas_set_num_threads(n);
    omp_set_num_threads(n);
}

/* The one cast from our sizes to BLAS's. */
static blasint narrow(int64_t size)
{
    REQUIRE(size >= 0 && size <= INT_MAX);
    return (blasint)size;
}

/* y[M,N] = beta * y: what a product over nothing leaves. beta 0 overwrites NaN too. */
static void scale_only(float *y, int64_t ldy, int64_t M, int64_t N, float beta)
{
    for (int64_t m = 0; m < M; m++) {
        for (int64_t n = 0; n < N; n++)
            y[m * ldy + n] = beta == 0.0f ? 0.0f : beta * y[m * ldy + n];
    }
}

static bool is_empty(float *y, int64_t ldy, int64_t M, int64_t N, int64_t K, float beta)
{
    if (M > 0 && N > 0 && K > 0)
        return false;
    scale_only(y, ldy, M, N, beta);
    return true;
}

void gemm_nt(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw,
             int64_t N, int64_t O, int64_t I, float alpha, float beta)
{
    if (is_empty(y, ldy, N, O, I, beta))
        return;
    if (N == 1) {
        gemv(y, x, w, ldw, O, I, alpha, beta);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, narrow(N), narrow(O), narrow(I), alpha, x,
                narrow(ldx), w, narrow(ldw), beta, y, narrow(ldy));
}

void gemm_nn(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw,
             int64_t N, int64_t I, int64_t O, float alpha, float beta)
{
    if (is_empty(y, ldy, N, I, O, beta))
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, narrow(N), narrow(I), narrow(O), alpha,
                x, narrow(ldx), w, narrow(ldw), beta, y, narrow(ldy));
}

void gemm_tn(float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb,
             int64_t O, int64_t I, int64_t N, float alpha, float beta)
{
    if (is_empty(y, ldy, O, I, N, beta))
        return;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, narrow(O), narrow(I), narrow(N), alpha, a,
                narrow(lda), b, narrow(ldb), beta, y, narrow(ldy));
}
