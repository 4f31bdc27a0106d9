/* sgd - gradient descent as torch.optim.SGD computes it without momentum, in float32. Source: torch/optim/sgd.py,
 * _single_tensor_sgd.
 *
 * Threads: any; every result is the same whatever the number of threads. */
#ifndef COMMON_OPTIM_SGD_H
#define COMMON_OPTIM_SGD_H

#include <stdint.h>

/* value[n] -= rate * (g[n] + weight_decay * value[n]) */
void sgd_update(float *value, const float *g, int64_t n, double rate, double weight_decay);

#endif
