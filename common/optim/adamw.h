/* adamw - AdamW as torch.optim.AdamW computes it on CPU: state and arithmetic in float32, the
 * scalars of a step in double. Source: torch/optim/adamw.py, _single_tensor_adamw.
 *
 * Threads: any; every result is the same whatever the number of threads. */
#ifndef COMMON_OPTIM_ADAMW_H
#define COMMON_OPTIM_ADAMW_H

#include <stdint.h>

typedef struct AdamW {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    int64_t t; /* number of this update, from 1 */
} AdamW;

/* value, m, v [n] <- one update with gradient g[n]; weight_decay 0 in *o where none applies. */
void adamw_update(float *value, float *m, float *v, const float *g, int64_t n, const AdamW *o);

/* Numbers are worked on in blocks, which threads share; a sum is that of the blocks' sums in their order. */
enum { ADAMW_BLOCK = 1 << 20 };
int64_t adamw_blocks(int64_t n);

/* g[n], sums, become means: divided by `over`; 0: they stay. */
void adamw_mean(float *g, int64_t n, double over);

/* The same, and sqrt of the sum of squares of the means, added in double in one fixed order; by all threads. */
double adamw_mean_norm(float *g, int64_t n, double over);

/* torch.nn.utils.clip_grad_norm_: what each element is multiplied by. most <= 0: never clip. */
float adamw_clip(double norm, double most);

#endif
