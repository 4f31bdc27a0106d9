/* adapter_parts - what an Adapter is made of, for adapter.c and decode.c. Nobody else includes this.
 *
 * Owner: the Adapter. Threads: its caller's one. */
#ifndef WORKER_MODEL_ADAPTER_PARTS_H
#define WORKER_MODEL_ADAPTER_PARTS_H

#include "worker/layers/segments.h"
#include "worker/model/adapter.h"
#include "worker/model/model_parts.h"

struct Adapter {
    AdapterOptions options;
    Model *model; /* its layers, beside the base's; owned */
    bool mixes;
    bool own_head; /* trained whole, or its bias */
    ModuleLora *modules; /* [arch->module_count], NULL: it adds nothing */
    float *turned; /* of all modules; owned */
};

/* Sequences [first, end) of a call that one pass computes, with the segments of pass->segments. */
typedef struct AdapterRun {
    int64_t first, end;
    bool mixed;
} AdapterRun;

/* The longest run of sequences from `first` on that a pass can compute; segments[B] receives its adapters, counted
 * from `first`. */
AdapterRun adapter_run(Adapter *const *adapter, int64_t first, int64_t B, RowSegment *segments, int64_t *count);

/* The layers that compute it, with their values. */
Model *adapter_layers(Model *base, Adapter *adapter, const AdapterRun *run);

#endif
