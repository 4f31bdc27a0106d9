#include "common/slots/orthogonality.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>

enum { LANES = 8 };

static double dot(const float *a, const float *b, int64_t n)
{
    float sums[LANES] = { 0 };
    double sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            sums[k] += a[i + k] * b[i + k];
    for (int k = 0; k < LANES; k++)
        sum += (double)sums[k];
    for (; i < n; i++)
        sum += (double)(a[i] * b[i]);
    return sum;
}

/* P = A A^T - I of a[r,n] */
static void of_rows(double *p, const float *a, int64_t r, int64_t n)
{
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j <= i; j++)
            p[i * r + j] = p[j * r + i] = dot(a + i * n, a + j * n, n) - (i == j);
}

/* P = B^T B - I of b[n,r] */
static void of_columns(double *p, const float *b, int64_t r, int64_t n)
{
    for (int64_t i = 0; i < r * r; i++)
        p[i] = 0;
    for (int64_t o = 0; o < n; o++)
        for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < r; j++)
                p[i * r + j] += (double)(b[o * r + i] * b[o * r + j]);
    for (int64_t i = 0; i < r; i++)
        p[i * r + i] -= 1;
}

/* gradient += factor P A */
static void pull_rows(float *gradient, const double *p, const float *a, int64_t r, int64_t n, double factor)
{
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            const float f = (float)(factor * p[i * r + j]);
            for (int64_t k = 0; k < n; k++)
                gradient[i * n + k] += f * a[j * n + k];
        }
}

/* gradient += factor B P */
static void pull_columns(float *gradient, const double *p, const float *b, int64_t r, int64_t n, double factor)
{
    for (int64_t o = 0; o < n; o++)
        for (int64_t i = 0; i < r; i++) {
            double sum = 0;
            for (int64_t j = 0; j < r; j++)
                sum += (double)b[o * r + j] * p[j * r + i];
            gradient[o * r + i] += (float)(factor * sum);
        }
}

/* |P - I| of one A or B. d/dA = 2 (P - I) A / |P - I|, and 0 where that is 0. */
static double of_slot(float *gradient, const Slot *slot, const float *values, double *p, double weight)
{
    const bool rows = slot->kind == SLOT_LORA_A;
    const int64_t r = slot->dim[rows ? 0 : 1], n = slot->dim[rows ? 1 : 0];
    const float *x = values + slot->offset;
    double squares = 0;
    (rows ? of_rows : of_columns)(p, x, r, n);
    for (int64_t i = 0; i < r * r; i++)
        squares += p[i] * p[i];
    const double norm = sqrt(squares);
    if (gradient && norm > 0)
        (rows ? pull_rows : pull_columns)(gradient + slot->offset, p, x, r, n, 2 * weight / norm);
    return norm;
}

double orthogonality(float *gradient, const SlotTable *table, const float *values, double weight)
{
    int64_t most = 0;
    double sum = 0, count = 0;
    for (int m = 0; m < table->arch->module_count; m++) {
        const ModuleSlots *of = &table->modules[m];
        most = of->e >= 0 && of->r > most ? of->r : most;
        count += of->e >= 0 ? 2 : 0;
    }
    if (count == 0)
        return 0;
    double *p = xmalloc((size_t)(most * most + 1) * sizeof *p);
    for (int m = 0; m < table->arch->module_count; m++) {
        const ModuleSlots *of = &table->modules[m];
        if (of->e < 0)
            continue;
        sum += of_slot(gradient, &table->slots[of->a], values, p, weight / count);
        sum += of_slot(gradient, &table->slots[of->b], values, p, weight / count);
    }
    free(p);
    return sum / count;
}
