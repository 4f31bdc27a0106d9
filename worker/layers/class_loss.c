#include "worker/layers/class_loss.h"

#include "common/base/maths.h"
#include "worker/kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { GOAL_IGNORED = -100 }; /* torch's ignore_index */

static double log_sum_exp(const float *x, int64_t V)
{
    float max = -INFINITY;
    for (int64_t v = 0; v < V; v++)
        max = x[v] > max ? x[v] : max;
    double sum = 0.0;
    for (int64_t v = 0; v < V; v++)
        sum += maths_exp((double)x[v] - (double)max);
    return (double)max + maths_log(sum);
}

/* With s[v] = e w[v] / V, and s[y] more by (1 - e) w[y]: loss = sum_v s[v] (lse - x[v]), dx[v] = p[v] sum s - s[v]. */
static double weighted_row(float *dx, const float *x, int32_t y, int64_t V, const LossOptions *o)
{
    const double lse = log_sum_exp(x, V), own = (1.0 - o->smoothing) * o->weights[y];
    const double spread = o->smoothing / (double)V;
    double loss = own * (lse - (double)x[y]), all = own;
    for (int64_t v = 0; spread > 0 && v < V; v++) {
        loss += spread * o->weights[v] * (lse - (double)x[v]);
        all += spread * o->weights[v];
    }
    for (int64_t v = 0; dx && v < V; v++) {
        const double share = spread * o->weights[v] + (v == y ? own : 0.0);
        dx[v] = (float)(all * maths_exp((double)x[v] - lse) - share);
    }
    return loss;
}

/* Of several tasks: a row's loss is among the outputs of its task, weighted as the task is. */
static double part_row(float *dx, const float *x, int32_t y, int64_t V, const LossOptions *o)
{
    const TaskLabels span = *task_of_label(o->tasks, y);
    const int32_t goal = (int32_t)(y - span.begin);
    const double weight = o->weights ? o->weights[y] : 1.0;
    int64_t count;
    if (dx)
        memset(dx, 0, (size_t)V * sizeof *dx);
    const double loss = kernels->cross_entropy(dx ? dx + span.begin : NULL, x + span.begin, &goal, 1,
                                               span.end - span.begin, o->smoothing, &count);
    for (int64_t v = span.begin; dx && weight != 1.0 && v < span.end; v++)
        dx[v] = (float)(weight * (double)dx[v]);
    return weight * loss;
}

BatchLoss class_loss(float *dlogits, const float *logits, const int32_t *goal, int64_t N, int64_t V,
                     const LossOptions *o)
{
    BatchLoss loss = { 0 };
    if (!o->weights && !o->tasks) {
        loss.sum = kernels->cross_entropy(dlogits, logits, goal, N, V, o->smoothing, &loss.count);
        loss.weight = (double)loss.count;
        return loss;
    }
    for (int64_t n = 0; n < N; n++) {
        float *dlogits_n = dlogits ? dlogits + n * V : NULL;
        if (goal[n] == GOAL_IGNORED) {
            if (dlogits_n)
                memset(dlogits_n, 0, (size_t)V * sizeof *dlogits_n);
            continue;
        }
        loss.sum += (o->tasks ? part_row : weighted_row)(dlogits_n, logits + n * V, goal[n], V, o);
        loss.weight += o->weights ? o->weights[goal[n]] : 1.0;
        loss.count++;
    }
    return loss;
}
