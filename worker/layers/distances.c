#include "worker/layers/distances.h"

#include "worker/kernels/kernels.h"

#include <string.h>

bool distances_are_there(const Distances *distances)
{
    return distances->table.out > 0;
}

static int64_t floats_of(const Distances *distances)
{
    return distances->count * distances->C;
}

void distances_layout(Distances *distances, Layout *layout, bool training)
{
    if (!distances_are_there(distances))
        return;
    const int64_t rows = floats_of(distances), projected = distances->count * distances->E;
    distances->row_of = layout_take(layout, (size_t)(2 * distances->longest - 1) * sizeof *distances->row_of);
    distances->rows = layout_floats(layout, rows);
    distances->dropped = layout_floats(layout, rows);
    distances->keys = layout_floats(layout, projected);
    distances->queries = layout_floats(layout, projected);
    norm_layout(&distances->norm, layout);
    if (norm_is_there(&distances->norm))
        norm_keep_layout(&distances->keep, &distances->norm, layout, distances->count);
    distances->dkeys = layout_floats_if(layout, training, projected);
    distances->dqueries = layout_floats_if(layout, training, projected);
    distances->dx = layout_floats_if(layout, training, rows);
    distances->drows = layout_floats_if(layout, training && distances->is_trained, rows);
}

void distances_fill(Distances *distances)
{
    const int64_t T = distances->longest;
    for (int64_t d = 1 - T; distances_are_there(distances) && d < T; d++)
        distances->row_of[T - 1 + d] = (int32_t)arch_distance_row(distances->arch, d);
}

void distances_keep_layout(DistanceKeep *keep, const Distances *distances, const DistanceLinears *by, Layout *layout)
{
    if (!distances_are_there(distances))
        return;
    linear_keep_layout(&keep->keys_lora, &by->keys, layout, distances->count);
    linear_keep_layout(&keep->queries_lora, &by->queries, layout, distances->count);
    keep->keys = layout_floats_if(layout, distances->has_keys, distances->count * distances->E);
    keep->queries = layout_floats_if(layout, distances->has_queries, distances->count * distances->E);
}

/* ---- a call about these rows ------------------------------------------------------------------- */

/* They are of no example, and the same in every micro-batch of a step. */
typedef struct OwnPass {
    int64_t start[2], example[1];
    Pass pass;
} OwnPass;

static Pass *own_pass(OwnPass *own, const Distances *distances, const Pass *pass)
{
    own->start[0] = 0;
    own->start[1] = distances->count;
    own->example[0] = -1;
    own->pass = *pass;
    own->pass.rows = (Rows){ .B = 1, .N = distances->count, .longest = distances->count, .start = own->start };
    own->pass.example = own->example;
    own->pass.segment_count = 0;
    return &own->pass;
}

void distances_bind(Distances *distances, Pass *pass)
{
    OwnPass room;
    if (!distances_are_there(distances))
        return;
    Pass *own = own_pass(&room, distances, pass);
    const float *table = module_floats(&distances->table, pass->values);
    norm_bind(&distances->norm, pass->values);
    if (norm_is_there(&distances->norm))
        norm_apply(&distances->norm, &distances->keep, distances->rows, &(NormInput){ .x = table }, &own->rows, own);
    else
        memcpy(distances->rows, table, (size_t)floats_of(distances) * sizeof(float));
}

/* The rows as a layer reads them. */
static const float *rows_of_layer(const Distances *distances, int64_t layer, Pass *own)
{
    const Dropout dropout = pass_dropout(own, layer, SITE_DISTANCES, distances->dropout);
    if (dropout.p <= 0)
        return distances->rows;
    kernels->dropout_apply(distances->dropped, distances->rows, &own->rows, dropout, distances->C);
    return distances->dropped;
}

static AttentionDistances shape_of(const Distances *distances, const float *keys, const float *queries)
{
    return (AttentionDistances){
        .keys = distances->has_keys ? keys : NULL,
        .queries = distances->has_queries ? queries : NULL,
        .rows = distances->row_of,
        .origin = distances->longest - 1,
        .count = distances->count,
        .ld = distances->E,
    };
}

static void project(const Distances *distances, const Linear *linear, LinearKeep *keep, float *y, const float *x,
                    Pass *own)
{
    linear_forward(linear, keep, y, distances->E, x, &own->rows, own);
    linear_add_bias(linear, y, distances->E, distances->count);
}

AttentionDistances distances_project(const Distances *distances, const DistanceLinears *by, DistanceKeep *keep,
                                     int64_t layer, Pass *pass)
{
    OwnPass room;
    Pass *own = own_pass(&room, distances, pass);
    const float *x = rows_of_layer(distances, layer, own);
    float *keys = keep->keys ? keep->keys : distances->keys;
    float *queries = keep->queries ? keep->queries : distances->queries;
    if (distances->has_keys)
        project(distances, &by->keys, keep->keys ? &keep->keys_lora : NULL, keys, x, own);
    if (distances->has_queries)
        project(distances, &by->queries, keep->queries ? &keep->queries_lora : NULL, queries, x, own);
    return shape_of(distances, keys, queries);
}

AttentionDistances distances_begin_backward(const Distances *distances, const DistanceKeep *keep)
{
    const size_t bytes = (size_t)(distances->count * distances->E) * sizeof(float);
    AttentionDistances shape = shape_of(distances, keep->keys, keep->queries);
    memset(distances->dkeys, 0, bytes);
    memset(distances->dqueries, 0, bytes);
    shape.dkeys = distances->dkeys;
    shape.dqueries = distances->dqueries;
    return shape;
}

static void pull(const Distances *distances, const Linear *linear, const LinearKeep *keep, const float *dy,
                 const float *x, float beta, Pass *own)
{
    const LinearGrad grad = {
        .dy = dy, .ldy = distances->E, .x = x, .dx = distances->is_trained ? distances->dx : NULL, .beta = beta
    };
    if (distances->is_trained || linear_is_trained(linear))
        linear_backward(linear, keep, &grad, &own->rows, own);
}

void distances_pull(const Distances *distances, const DistanceLinears *by, const DistanceKeep *keep, int64_t layer,
                    Pass *pass)
{
    OwnPass room;
    Pass *own = own_pass(&room, distances, pass);
    const float *x = rows_of_layer(distances, layer, own);
    if (distances->has_keys)
        pull(distances, &by->keys, &keep->keys_lora, distances->dkeys, x, 0, own);
    if (distances->has_queries)
        pull(distances, &by->queries, &keep->queries_lora, distances->dqueries, x, distances->has_keys ? 1 : 0, own);
    if (!distances->is_trained)
        return;
    const Dropout dropout = pass_dropout(own, layer, SITE_DISTANCES, distances->dropout);
    if (dropout.p > 0)
        kernels->dropout_apply(distances->dx, distances->dx, &own->rows, dropout, distances->C);
    for (int64_t i = 0; i < floats_of(distances); i++)
        distances->drows[i] += distances->dx[i];
}

/* ---- all layers' ----------------------------------------------------------------------------------- */

void distances_zero(const Distances *distances)
{
    if (distances->drows)
        memset(distances->drows, 0, (size_t)floats_of(distances) * sizeof(float));
}

void distances_backward(const Distances *distances, Pass *pass)
{
    OwnPass room;
    if (!distances->drows)
        return;
    Pass *own = own_pass(&room, distances, pass);
    if (norm_is_there(&distances->norm))
        norm_pull(&distances->norm, &distances->keep, distances->drows, distances->drows, NULL, &own->rows, own);
    float *to = module_grad(pass->grad, distances->table.weight_at);
    for (int64_t i = 0; to && i < floats_of(distances); i++)
        to[i] += distances->drows[i];
}
