/* distances - a table of distances whose projections meet those of tokens in attention's scores:
 *
 *   r = norm(table)      of a layer: keys = dropout(r) Wk + bk,  queries = dropout(r) Wq + bq
 *
 * where Wk and Wq are the layer's own of tokens, with their LoRA, or others (He et al. 2021). Its rows are no
 * sequence's: they are normalised when values are bound, projected once a layer and call, and what layers give back adds
 * up to one gradient. A dropout draws one mask a step.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_DISTANCES_H
#define WORKER_LAYERS_DISTANCES_H

#include "worker/layers/linear.h"
#include "worker/layers/norm.h"

typedef struct Distances {
    ModuleView table; /* [count, C]; out 0: there is none */
    Norm norm; /* width 0: none */
    int64_t count, C, E; /* rows, their width, that of projections */
    double dropout;
    bool has_keys, has_queries;
    bool is_trained; /* table or norm */
    const ModelArch *arch; /* borrowed */
    int64_t longest;
    int32_t *row_of; /* [2 longest - 1] by distance of query and key */
    float *rows, *drows; /* [count, C] normalised; their gradient */
    NormKeep keep;
    float *dropped, *dx; /* [count, C] of a layer */
    float *keys, *queries, *dkeys, *dqueries; /* [count, E] of a layer */
} Distances;

/* What a layer projects by: views of its linears, as they are bound. Without parts: not. */
typedef struct DistanceLinears {
    Linear keys, queries;
} DistanceLinears;

/* What backward needs of a layer's forward; NULL: of that nothing. */
typedef struct DistanceKeep {
    LinearKeep keys_lora, queries_lora;
    float *keys, *queries; /* [count, E] */
} DistanceKeep;

bool distances_are_there(const Distances *distances);

void distances_layout(Distances *distances, Layout *layout, bool training);
void distances_fill(Distances *distances); /* once it has its place */
void distances_keep_layout(DistanceKeep *keep, const Distances *distances, const DistanceLinears *by, Layout *layout);

/* With the values of pass. */
void distances_bind(Distances *distances, Pass *pass);

/* The projections for attention, [count, E] each; keep without its places: until the next layer's. */
AttentionDistances distances_project(const Distances *distances, const DistanceLinears *by, DistanceKeep *keep,
                                     int64_t layer, Pass *pass);

/* What of `forward` backward sees, with zeroed room for the gradients at projections; then from those on. */
AttentionDistances distances_begin_backward(const Distances *distances, const DistanceKeep *keep);
void distances_pull(const Distances *distances, const DistanceLinears *by, const DistanceKeep *keep, int64_t layer,
                    Pass *pass);

/* Before the first layer's backward of a call, and behind the last one's. */
void distances_zero(const Distances *distances);
void distances_backward(const Distances *distances, Pass *pass);

#endif
