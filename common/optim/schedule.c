#include "common/optim/schedule.h"

#include "common/base/maths.h"

#include <math.h>

#define PI 3.14159265358979323846

int64_t schedule_warmup(int64_t steps, double ratio, int64_t total)
{
    return steps > 0 ? steps : (int64_t)ceil((double)total * ratio);
}

static double at_least_1(int64_t n)
{
    return n > 1 ? (double)n : 1.0;
}

/* Share of the highest rate. Spec: get_*_schedule_with_warmup's lambdas. */
static double share(const Schedule *s, int64_t k)
{
    if (s->kind == RATE_CONSTANT)
        return 1.0;
    if (k < s->warmup)
        return (double)k / at_least_1(s->warmup);
    switch (s->kind) {
    case RATE_LINEAR:
        return fmax(0.0, (double)(s->total - k) / at_least_1(s->total - s->warmup));
    case RATE_COSINE: {
        const double done = (double)(k - s->warmup) / at_least_1(s->total - s->warmup);
        return fmax(0.0, 0.5 * (1.0 + maths_cos(PI * 0.5 * 2.0 * done)));
    }
    case RATE_CONSTANT:
    case RATE_CONSTANT_WITH_WARMUP:
        break;
    }
    return 1.0;
}

double schedule_rate(const Schedule *schedule, int64_t k)
{
    return schedule->rate * share(schedule, k);
}
