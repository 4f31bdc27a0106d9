/* conv - a convolution along the sequence, of what the embedding gave, that is added behind the first block:
 *
 *   x = norm(x + act(dropout(conv(e) + b)))      each row of conv sees `kernel` rows around it, of its own sequence
 *
 * Rows of padding come out as 0 where the norm masks, whatever conv made of them.
 *
 * It is a linear of those rows, side by side.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_CONV_H
#define WORKER_LAYERS_CONV_H

#include "worker/layers/linear.h"
#include "worker/layers/norm.h"

typedef struct Conv {
    Linear linear; /* [C, C * kernel], of each input's kernel; without parts: there is none */
    Norm norm;
    int64_t layer, C, kernel;
    Activation act;
    double dropout;
    bool needs_in, needs_body, needs_out; /* a gradient at e, at what the body gives, at the stream behind */
    float *room; /* [most_tokens, C] e, where nothing is kept */
} Conv;

/* What backward needs of a forward. */
typedef struct ConvKeep {
    float *rows; /* [N,C] e; backward puts its gradient there */
    float *pre; /* [N,C] before the activation */
    LinearKeep linear;
    NormKeep norm;
} ConvKeep;

bool conv_is_there(const Conv *conv);

/* below: the gradient at e is needed; stream: that at the stream before it. True: so is that behind it. */
bool conv_plan(Conv *conv, bool below, bool stream);
void conv_layout(Conv *conv, Layout *layout, const PassSizes *sizes);
void conv_keep_layout(ConvKeep *keep, const Conv *conv, Layout *layout, const PassSizes *sizes);
void conv_measure(const Conv *conv, bool drops, PassSizes *sizes);
void conv_bind(Conv *conv, const float *values);

/* keep NULL: no backward follows. Takes e from pass->x, before the first block; then pass->x behind it -> pass->x. */
void conv_take(const Conv *conv, ConvKeep *keep, Pass *pass);
void conv_forward(const Conv *conv, ConvKeep *keep, Pass *pass);

/* The gradient in pass->x behind it -> before it; then, behind the first block's, that of e is added. */
void conv_backward(const Conv *conv, ConvKeep *keep, Pass *pass);
void conv_give(const Conv *conv, const ConvKeep *keep, Pass *pass);

#endif
