#include "worker/arithmetic/speed.h"

#include "common/base/mem.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"

#include <stdlib.h>
#include <time.h>

typedef struct Operands {
    int64_t m, n, k;
    float *y, *x, *w;
} Operands;

static const Operands usual = { .m = 512,
                                .n = 768,
                                .k = 768 }; /* the tokens of a few rows, and the width of BERT-base */
enum { ROUNDS = 100000, TURNS = 20, FEW_TURNS = 8 };

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

static double product_speed(const Operands *p)
{
    const double begin = thread_seconds();
    gemm_nt(p->y, p->n, p->x, p->k, p->w, p->k, p->m, p->n, p->k, 1, 0);
    return 2.0 * (double)(p->m * p->n * p->k) / (thread_seconds() - begin) / 1e9;
}

static void product_open(Operands *p)
{
    p->x = xcalloc((size_t)(p->m * p->k), sizeof *p->x);
    p->w = xcalloc((size_t)(p->n * p->k), sizeof *p->w);
    p->y = xcalloc((size_t)(p->m * p->n), sizeof *p->y);
    gemm_set_threads(1);
}

static void product_close(Operands *p)
{
    free(p->x);
    free(p->w);
    free(p->y);
}

double speed_of_products(int64_t m, int64_t n, int64_t k)
{
    Operands p = { .m = m, .n = n, .k = k };
    double speed = 0;
    product_open(&p);
    for (int i = 0; i < FEW_TURNS; i++)
        speed = most(speed, product_speed(&p));
    product_close(&p);
    return speed;
}

Speed speed_measure(void)
{
    Operands p = usual;
    Speed speed = { 0 };
    product_open(&p);
    for (int i = 0; i < TURNS; i++) { /* in turns: a core's clock changes */
        speed.most = most(speed.most, peak_speed());
        speed.products = most(speed.products, product_speed(&p));
    }
    product_close(&p);
    return speed;
}
