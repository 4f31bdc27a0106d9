#include "common/optim/schedule.h"

#include "common/base/maths.h"

#include <math.h>

#define PI 3.14159265358979323846

bool schedule_is_measured(RateKind kind)
{
    return kind == RATE_REDUCE_ON_PLATEAU;
}

bool schedule_has_warmup(RateKind kind)
{
    return kind != RATE_CONSTANT && !schedule_is_measured(kind);
}

int64_t schedule_warmup(int64_t steps, double ratio, int64_t total)
{
    return steps > 0 ? steps : (int64_t)ceil((double)total * ratio);
}

static double at_least_1(int64_t n)
{
    return n > 1 ? (double)n : 1.0;
}

static double wave(double cycles, double done)
{
    return 0.5 * (1.0 + maths_cos(PI * cycles * 2.0 * done));
}

/* From 0 to 1, as much of it is done. */
static double rise(RateBend bend, double done)
{
    return bend == BEND_LINEAR   ? done
           : bend == BEND_COSINE ? 0.5 * (1.0 - maths_cos(PI * done))
                                 : 1.0 - sqrt(1.0 - done);
}

/* From 1 to 0. */
static double fall(const Schedule *s, double done)
{
    return s->decay_bend == BEND_LINEAR   ? 1.0 - done
           : s->decay_bend == BEND_COSINE ? wave(s->cycles, done)
                                          : 1.0 - sqrt(done);
}

/* Share of a value between the least and the whole. */
static double above_least(const Schedule *s, double share)
{
    return fmax(0.0, share * (1.0 - s->least) + s->least);
}

/* While the rate rises. */
static double warming(const Schedule *s, int64_t k)
{
    const double done = (double)k / at_least_1(s->warmup);
    switch (s->kind) {
    case RATE_WARMUP_STABLE_DECAY:
        return above_least(s, rise(s->warmup_bend, done));
    case RATE_COSINE_WARMUP_WITH_MIN_LR:
        return s->begin < 0 ? (double)(k + 1) / at_least_1(s->warmup)
                            : s->begin + (1.0 - s->begin) * (double)k / at_least_1(s->warmup - 1);
    default:
        return done;
    }
}

static double stable_decay(const Schedule *s, int64_t k)
{
    const double stable = s->stable < 0 ? (double)(s->total - s->warmup) - s->decay : s->stable;
    const double past = (double)(k - s->warmup) - stable;
    if (past < 0)
        return 1.0;
    return past < s->decay ? above_least(s, fall(s, past / fmax(1.0, s->decay))) : s->least;
}

static double polynomial(const Schedule *s, int64_t k)
{
    if (k > s->total)
        return s->lr_end / s->rate;
    const double left = 1.0 - (double)(k - s->warmup) / (double)(s->total - s->warmup);
    return ((s->rate - s->lr_end) * maths_pow(left, s->power) + s->lr_end) / s->rate;
}

static double inverse_sqrt(const Schedule *s, int64_t k)
{
    const double scale = s->timescale > 0 ? s->timescale : s->warmup > 0 ? (double)s->warmup : 10000.0;
    return 1.0 / sqrt(((double)k + (scale - (double)s->warmup)) / scale);
}

/* Share of the highest rate. Spec: get_*_schedule_with_warmup's lambdas. */
static double share(const Schedule *s, int64_t k)
{
    if (!schedule_has_warmup(s->kind))
        return 1.0;
    if (k < s->warmup)
        return warming(s, k);
    const double most = at_least_1(s->total - s->warmup), done = (double)(k - s->warmup) / most;
    switch (s->kind) {
    case RATE_LINEAR:
        return fmax(0.0, (double)(s->total - k) / most);
    case RATE_COSINE:
        return fmax(0.0, wave(s->cycles, done));
    case RATE_COSINE_WITH_RESTARTS:
        return done >= 1.0 ? 0.0 : fmax(0.0, wave(0.5, fmod(s->cycles * done, 1.0)));
    case RATE_COSINE_WITH_MIN_LR:
        return above_least(s, wave(s->cycles, done));
    case RATE_COSINE_WARMUP_WITH_MIN_LR:
        return above_least(s, wave(s->cycles, (double)(k - s->warmup + 1) / most));
    case RATE_POLYNOMIAL:
        return polynomial(s, k);
    case RATE_INVERSE_SQRT:
        return inverse_sqrt(s, k);
    case RATE_WARMUP_STABLE_DECAY:
        return stable_decay(s, k);
    case RATE_CONSTANT:
    case RATE_CONSTANT_WITH_WARMUP:
    case RATE_REDUCE_ON_PLATEAU:
        break;
    }
    return 1.0;
}

double schedule_rate(const Schedule *schedule, int64_t k)
{
    return schedule->rate * share(schedule, k);
}
