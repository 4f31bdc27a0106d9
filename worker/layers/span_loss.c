#include "worker/layers/span_loss.h"

#include "common/base/maths.h"
#include "common/base/mem.h"

#include <math.h>

enum { ENDS = 2 };

/* One end of a sequence of T rows: x[ENDS t], t < T. dx may be NULL. */
static double end_loss(float *dx, const float *x, int64_t T, int64_t goal)
{
    double max = -INFINITY, sum = 0.0;
    for (int64_t t = 0; t < T; t++)
        max = fmax(max, (double)x[ENDS * t]);
    for (int64_t t = 0; t < T; t++)
        sum += maths_exp((double)x[ENDS * t] - max);
    const double lse = max + maths_log(sum);
    for (int64_t t = 0; dx && t < T; t++)
        dx[ENDS * t] = (float)((maths_exp((double)x[ENDS * t] - lse) - (t == goal ? 1.0 : 0.0)) / ENDS);
    return lse - (double)x[ENDS * goal];
}

BatchLoss span_loss(float *dlogits, const float *logits, const float *goal, const Rows *rows)
{
    BatchLoss loss = { .count = rows->B, .weight = (double)rows->B };
    for (int64_t b = 0; b < rows->B; b++) {
        const int64_t at = ENDS * rows->start[b], T = rows->start[b + 1] - rows->start[b];
        for (int end = 0; end < ENDS; end++) {
            const int64_t wanted = (int64_t)goal[ENDS * b + end];
            REQUIRE(wanted >= 0 && wanted < T);
            loss.sum += end_loss(dlogits ? dlogits + at + end : NULL, logits + at + end, T, wanted) / ENDS;
        }
    }
    return loss;
}
