/* adapter - one of several that stand over a base: its LoRA as segments need it (worker/layers/segments.h), its
 * layers for what cannot be shared, and calls in which each sequence has an adapter of its own.
 *
 * Adapters of LoRA alone share one pass of the base; heads that an adapter brings (modules_to_save) are computed for
 * its sequences. One that also trains biases, norms, tables or whole matrices has a pass of its own. Either way a
 * sequence's numbers are, to the bit, those that it has alone in a call.
 *
 * Owner: a session, an engine. Threads: that of the base model. */
#ifndef WORKER_MODEL_ADAPTER_H
#define WORKER_MODEL_ADAPTER_H

#include "worker/model/model.h"

typedef struct Adapter Adapter;

typedef struct AdapterOptions {
    const ModelArch *arch; /* the base's but for the head; embeddings are pooled alike; these are borrowed */
    const SlotTable *table; /* NULL: arch and table are those of the base model */
    const float *values; /* NULL: the base alone */
} AdapterOptions;

/* Borrows the base model. NULL with *err set: it does not fit the base, there is no room for its rank or labels. */
MUST_USE Adapter *adapter_open(Model *base, const AdapterOptions *options, Err *err);
void adapter_close(Adapter *adapter);

/* Its values have changed where they lie. */
void adapter_refresh(Adapter *adapter);

/* They are `values` from now on, of the same slots; adapter_refresh follows. */
void adapter_move(Adapter *adapter, const float *values);

/* It shares a pass of the base with others. */
bool adapter_mixes(const Adapter *adapter);

const ModelArch *adapter_arch(const Adapter *adapter);

/* What model_predict writes for sequence b, by adapter[b] (those of one adapter lie together), one behind the other:
 * [B or N, its labels]; of a model that embeds [B, C]. Models that speak are asked token by token (decode.h). */
void adapter_predict(Model *base, const Batch *batch, Adapter *const *adapter, float *logits);

#endif
