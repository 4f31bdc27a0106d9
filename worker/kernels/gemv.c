/* gemv - a product with a single row: the matrix is read once, so memory sets the pace, and BLAS's way of
 * packing it first would read it twice. Four rows of the matrix at a time keep several streams open. */
#include "worker/kernels/gemm.h"

enum { STREAMS = 4 };

static float dot(const float *w, const float *x, int64_t I)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < I; i++)
        sum += w[i] * x[i];
    return sum;
}

static void four_dots(float y[STREAMS], const float *w, int64_t ldw, const float *x, int64_t I)
{
    const float *a = w, *b = w + ldw, *c = w + 2 * ldw, *d = w + 3 * ldw;
    float p = 0.0f, q = 0.0f, r = 0.0f, s = 0.0f;
#pragma omp simd reduction(+ : p, q, r, s)
    for (int64_t i = 0; i < I; i++) {
        p += a[i] * x[i];
        q += b[i] * x[i];
        r += c[i] * x[i];
        s += d[i] * x[i];
    }
    y[0] = p;
    y[1] = q;
    y[2] = r;
    y[3] = s;
}

void gemv(float *y, const float *x, const float *w, int64_t ldw, int64_t O, int64_t I, float alpha, float beta)
{
#pragma omp parallel for if (O * I > 1 << 15)
    for (int64_t o = 0; o < O; o += STREAMS) {
        float sums[STREAMS];
        const int64_t n = O - o < STREAMS ? O - o : STREAMS;
        if (n == STREAMS)
            four_dots(sums, w + o * ldw, ldw, x, I);
        for (int64_t k = 0; k < n; k++) {
            const float sum = n == STREAMS ? sums[k] : dot(w + (o + k) * ldw, x, I);
            y[o + k] = beta == 0.0f ? alpha * sum : alpha * sum + beta * y[o + k];
        }
    }
}
