#include "common/base/symmetric.h"

#include <math.h>
#include <string.h>

/* rows p and q of x[., n], turned: p' = c p - s q, q' = s p + c q. */
static void turn_rows(double *x, int64_t p, int64_t q, int64_t n, double c, double s)
{
    double *P = x + p * n, *Q = x + q * n;
    for (int64_t i = 0; i < n; i++) {
        const double y = P[i], z = Q[i];
        P[i] = c * y - s * z;
        Q[i] = s * y + c * z;
    }
}

/* Makes a[p, q] zero, and turns the vectors along (Golub and Van Loan, 8.5). */
static void rotate(double *a, double *vectors, int64_t p, int64_t q, int64_t n)
{
    const double off = a[p * n + q], tau = (a[q * n + q] - a[p * n + p]) / (2 * off);
    const double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau));
    const double c = 1 / sqrt(1 + t * t), s = t * c;
    turn_rows(a, p, q, n, c, s);
    for (int64_t i = 0; i < n; i++) { /* and columns */
        const double y = a[i * n + p], z = a[i * n + q];
        a[i * n + p] = c * y - s * z;
        a[i * n + q] = s * y + c * z;
    }
    a[p * n + q] = a[q * n + p] = 0;
    turn_rows(vectors, p, q, n, c, s);
}

/* One sweep over all pairs; false: nothing was left to turn. */
static int sweep(double *a, double *vectors, int64_t n)
{
    int turned = 0;
    for (int64_t p = 0; p < n; p++)
        for (int64_t q = p + 1; q < n; q++) {
            const double off = fabs(a[p * n + q]);
            if (off > 1e-16 * sqrt(fabs(a[p * n + p] * a[q * n + q])) && off > 1e-300) {
                rotate(a, vectors, p, q, n);
                turned = 1;
            }
        }
    return turned;
}

static void swap_rows(double *x, int64_t p, int64_t q, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double y = x[p * n + i];
        x[p * n + i] = x[q * n + i];
        x[q * n + i] = y;
    }
}

void symmetric_eigen(double *values, double *vectors, double *a, int64_t n)
{
    enum { SWEEPS = 60 }; /* it converges quadratically: ten are many */
    memset(vectors, 0, (size_t)(n * n) * sizeof *vectors);
    for (int64_t i = 0; i < n; i++)
        vectors[i * n + i] = 1;
    for (int i = 0; i < SWEEPS && sweep(a, vectors, n); i++)
        ;
    for (int64_t i = 0; i < n; i++)
        values[i] = a[i * n + i];
    for (int64_t i = 0; i < n; i++) {
        int64_t most = i;
        for (int64_t j = i + 1; j < n; j++)
            most = values[j] > values[most] ? j : most;
        const double y = values[i];
        values[i] = values[most];
        values[most] = y;
        if (most != i)
            swap_rows(vectors, i, most, n);
    }
}
