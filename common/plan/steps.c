#include "common/plan/steps.h"

#include <math.h>

/* Figures come from other machines: no sum or product of them may pass what an int64_t holds. */
static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

int64_t steps_per_epoch(int64_t examples, int64_t batch_size)
{
    return divide_up(examples, batch_size);
}

int64_t steps_total(int64_t per_epoch, double epochs, int64_t max_steps)
{
    const double most = 1e15, steps = ceil(epochs * (double)per_epoch);
    return max_steps > 0 ? max_steps : (int64_t)fmin(steps, most);
}

/* Trainer's: epoch_index + batches_done / batches_per_epoch. */
double steps_epoch(int64_t steps, int64_t per_epoch)
{
    if (per_epoch == 0)
        return 0;
    const int64_t whole = steps / per_epoch;
    return (double)whole + (double)(steps % per_epoch) / (double)per_epoch;
}

/* Full batches, and the short one that ends each epoch. */
int64_t steps_examples(int64_t steps, int64_t examples, int64_t batch_size)
{
    const int64_t per_epoch = steps_per_epoch(examples, batch_size);
    return per_epoch == 0 ? 0 : steps / per_epoch * examples + steps % per_epoch * batch_size;
}

int64_t steps_micro_batches(int64_t batch_size, int64_t longest, int64_t most_tokens, int64_t replicas)
{
    const int64_t multiple = replicas > 0 ? replicas : 1, fit = most_tokens / longest; /* examples of a micro-batch */
    const int64_t least = fit > 0 ? divide_up(batch_size, fit) : batch_size, times = divide_up(least, multiple);
    return times <= batch_size / multiple ? times * multiple : batch_size;
}
