/* activation - the functions that a model may bend its rows with, by Transformers' names
 * (common/model/arch.c) and as the kernels compute them (worker/kernels/activation.c).
 *
 * Threads: any; constants. */
#ifndef COMMON_BASE_ACTIVATION_H
#define COMMON_BASE_ACTIVATION_H

typedef enum { ACT_GELU, ACT_GELU_TANH, ACT_GELU_FAST, ACT_QUICK_GELU, ACT_RELU, ACT_SILU, ACT_TANH } Activation;
enum { ACTIVATIONS = ACT_TANH + 1 };

#endif
