/* decode - a language model that goes on where it was: the keys and values of what it has read are kept,
 * so that the next token costs one row of each product.
 *
 * Texts stand in lanes. feed() gives each of some lanes more tokens and writes what follows; with `first`
 * the lanes begin anew. What a lane gets does not depend on which others are fed, up to the rounding of
 * products of another height. All memory is taken at decode_open. The model is the caller's, and may train and
 * predict between two feeds.
 *
 * Owner: worker/eval's engine. Threads: one caller; kernels use OpenMP. Collective: no. */
#ifndef WORKER_MODEL_DECODE_H
#define WORKER_MODEL_DECODE_H

#include "worker/model/model.h"

typedef struct DecodeOptions {
    int64_t lanes;
    int64_t longest; /* tokens of a lane, read and written; of the model's sequences at the most */
} DecodeOptions;

typedef struct DecodeFeed {
    bool first; /* the lanes are empty before */
    int64_t count; /* lanes fed */
    const int64_t *lane; /* [count] */
    const int64_t *start; /* [count+1]: ids[start[i], start[i+1]) go to lane[i], one at least */
    const int32_t *ids;
} DecodeFeed;

typedef struct Decoder Decoder;

/* Borrows the model, which has room for all that one feed brings. NULL with *err: no causal language model, no
 * memory. */
MUST_USE Decoder *decode_open(Model *model, const DecodeOptions *options, Err *err);
void decode_close(Decoder *decoder);

/* logits[count, V] of what follows each lane's last token. values NULL: the base without LoRA. */
void decode_feed(Decoder *decoder, const DecodeFeed *feed, const float *values, float *logits);

#endif
