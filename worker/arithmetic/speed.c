#include "worker/arithmetic/speed.h"

#include "common/base/mem.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"

#include <stdlib.h>
#include <time.h>

enum { M = 512, N = 768, K = 768 }; /* the tokens of a few rows, and the width of BERT-base */
enum { ROUNDS = 100000, TURNS = 20 };

static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static double peak_speed(void)
{
    int64_t operations;
    const double begin = thread_seconds();
    volatile float sum = kernels->peak_rounds(ROUNDS, &operations);
    (void)sum;
    return (double)operations / (thread_seconds() - begin) / 1e9;
}

static double product_speed(float *y, const float *x, const float *w)
{
    const double begin = thread_seconds();
    gemm_nt(y, N, x, K, w, K, M, N, K, 1, 0);
    return 2.0 * M * N * K / (thread_seconds() - begin) / 1e9;
}

Speed speed_measure(void)
{
    float *x = xcalloc(M * K, sizeof *x), *w = xcalloc(N * K, sizeof *w), *y = xcalloc(M * N, sizeof *y);
    Speed speed = { 0 };
    gemm_set_threads(1);
    for (int i = 0; i < TURNS; i++) { /* in turns: a core's clock changes */
        speed.most = most(speed.most, peak_speed());
        speed.products = most(speed.products, product_speed(y, x, w));
    }
    free(x);
    free(w);
    free(y);
    return speed;
}
