/* gemv - a product with a single row: the matrix is read once, so memory sets the pace, and BLAS's way of
 * packing it first would read it twice. Each thread goes through rows that lie one behind the other. */
#include "worker/kernels/gemm.h"

/* The compiler's own reduction: whole vectors, one sum a lane. */
static float dot(const float *w, const float *x, int64_t I)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < I; i++)
        sum += w[i] * x[i];
    return sum;
}

void gemv(float *y, const float *x, const float *w, int64_t ldw, int64_t O, int64_t I, float alpha, float beta)
{
#pragma omp parallel for if (O * I > 1 << 15)
    for (int64_t o = 0; o < O; o++) {
        const float sum = dot(w + o * ldw, x, I);
        y[o] = beta == 0.0f ? alpha * sum : alpha * sum + beta * y[o];
    }
}
