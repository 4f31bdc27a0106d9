/* gemv - a product with a single row: the matrix is read once, so memory sets the pace, and BLAS's way of
 * packing it first would read it twice. Each thread goes through rows that lie one behind the other. */
#include "worker/kernels/gemm.h"
#include "worker/kernels/rows.h"

void gemv(float *y, const float *x, const float *w, int64_t ldw, int64_t O, int64_t I, float alpha, float beta)
{
#pragma omp parallel for if (O * I > PARALLEL_ELEMENTS)
    for (int64_t o = 0; o < O; o++) {
        const float sum = row_dot(w + o * ldw, x, I);
        y[o] = beta == 0.0f ? alpha * sum : alpha * sum + beta * y[o];
    }
}
