#include "common/slots/absurd.h"

#include <math.h>
#include <string.h>

static int32_t magnitude(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

/* Magnitudes are in the order of their bits: finite ones, infinity, NaNs. One pass, without a way out: as fast as memory. */
static bool is_absurd(const float *x, int64_t n, float most)
{
    const int32_t infinity = magnitude(INFINITY);
    int32_t largest = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < n; i++) {
        const int32_t size = magnitude(x[i]);
        largest = size > largest ? size : largest;
    }
    return largest >= infinity || largest > magnitude(most);
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
