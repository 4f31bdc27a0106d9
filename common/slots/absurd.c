#include "common/slots/absurd.h"

#include "common/base/maths.h"

#include <math.h>

static bool is_absurd(const float *x, int64_t n, float most)
{
    float largest = 0;
    if (maths_not_finite(x, n) < n)
        return true;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    return largest > most;
}

const Slot *absurd_slot(const SlotTable *table, const float *sums, double weight)
{
    const double limit = ABSURD * (weight > 0 ? weight : 1);
    const float most = limit < 3e38 ? (float)limit : INFINITY;
    int first = table->count;
#pragma omp parallel for schedule(dynamic) reduction(min : first) if (table->size > 1 << 20)
    for (int s = 0; s < table->count; s++) {
        const Slot *slot = &table->slots[s];
        if (s < first && is_absurd(sums + slot->offset, slot->count, most))
            first = s;
    }
    return first < table->count ? &table->slots[first] : NULL;
}

bool absurd_loss(double sum, double weight)
{
    return !(fabs(sum) <= ABSURD * (weight > 0 ? weight : 1)); /* NaN, too */
}
