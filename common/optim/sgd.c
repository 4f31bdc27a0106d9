#include "common/optim/sgd.h"

void sgd_update(float *value, const float *g, int64_t n, double rate, double weight_decay)
{
    const float step = (float)rate, decay = (float)weight_decay;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        value[i] -= step * (g[i] + decay * value[i]);
}
