#include "common/metrics/correlation.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>

double correlation_pearson(const double *x, const double *y, int64_t n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx == 0 || yy == 0 ? 0.0 : xy / sqrt(xx * yy);
}

typedef struct RankedValue {
    double value;
    int64_t index;
} RankedValue;

static int by_value(const void *a, const void *b)
{
    const double x = ((const RankedValue *)a)->value, y = ((const RankedValue *)b)->value;
    return (x > y) - (x < y);
}

/* Ranks from 1, equal values share the mean of theirs. */
static void ranks(double *out, const double *x, int64_t n)
{
    RankedValue *order = xmalloc((size_t)n * sizeof *order);
    for (int64_t i = 0; i < n; i++)
        order[i] = (RankedValue){ x[i], i };
    qsort(order, (size_t)n, sizeof *order, by_value);
    for (int64_t i = 0; i < n;) {
        int64_t j = i;
        while (j < n && order[j].value == order[i].value)
            j++;
        for (int64_t k = i; k < j; k++)
            out[order[k].index] = 0.5 * (double)(i + j + 1);
        i = j;
    }
    free(order);
}

double correlation_spearman(const double *x, const double *y, int64_t n)
{
    double *of_x = xcalloc((size_t)(2 * n + 1), sizeof *of_x), *of_y = of_x + n;
    ranks(of_x, x, n);
    ranks(of_y, y, n);
    const double r = correlation_pearson(of_x, of_y, n);
    free(of_x);
    return r;
}
