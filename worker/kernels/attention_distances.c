#include "worker/kernels/attention_distances.h"

#include <string.h>

/* Rows that distances below T mean. */
static int64_t most_rows(const AttentionDistances *of, int64_t longest)
{
    return of->count < 2 * longest - 1 ? of->count : 2 * longest - 1;
}

int64_t distance_floats(const AttentionShape *shape, int64_t longest)
{
    if (shape->distances == NULL)
        return 0;
    const int64_t W = most_rows(shape->distances, longest), stride = sequence_stride(W), DP = lanes_up(shape->D);
    return 2 * shape->D * stride + 2 * (QUERY_BLOCK + longest) * stride + 4 * W * DP;
}

/* dst[W,DP] = head h's rows, times scale */
static void pack_table(const DistanceRoom *room, float *dst, const float *table, int64_t h, float scale)
{
    const AttentionDistances *of = room->of;
    pack_rows(dst, table + room->lo * of->ld + h * room->D, of->ld, room->W, room->D, scale);
}

static float *take(float **scratch, int64_t floats)
{
    float *room = *scratch;
    *scratch += floats;
    return room;
}

void distance_begin(DistanceRoom *room, float *scratch, const AttentionShape *shape, int64_t h, int64_t T,
                    const float *keys, int64_t ldkeys)
{
    const AttentionDistances *of = shape->distances;
    *room = (DistanceRoom){ .of = of, .T = T, .D = shape->D, .DP = lanes_up(shape->D) };
    if (of == NULL)
        return;
    room->lo = of->rows[of->origin - (T - 1)];
    room->W = of->rows[of->origin + T - 1] + 1 - room->lo;
    room->stride = sequence_stride(room->W);
    const int64_t D = room->D, W = room->W, stride = room->stride, table = W * room->DP;
    room->keys_t = take(&scratch, D * stride);
    room->queries_t = take(&scratch, D * stride);
    room->by_query = take(&scratch, QUERY_BLOCK * stride);
    room->by_key = take(&scratch, T * stride);
    room->dby_query = take(&scratch, QUERY_BLOCK * stride);
    room->dby_key = take(&scratch, T * stride);
    room->keys = take(&scratch, table);
    room->queries = take(&scratch, table);
    room->dkeys = take(&scratch, table);
    room->dqueries = take(&scratch, table);
    if (of->keys != NULL)
        tile_transpose(room->keys_t, stride, of->keys + room->lo * of->ld + h * D, of->ld, W, D);
    if (of->queries == NULL)
        return;
    pack_table(room, room->queries, of->queries, h, shape->scale);
    tile_transpose(room->queries_t, stride, room->queries, room->DP, W, D);
    tile_product(room->by_key, stride, (TileLeft){ keys, ldkeys, 1 }, room->queries_t, stride, T, lanes_up(W), D,
                 false);
}

void distance_take_block(const DistanceRoom *room, const float *q, int64_t rows)
{
    if (room->of != NULL && room->of->keys != NULL)
        tile_product(room->by_query, room->stride, (TileLeft){ q, room->DP, 1 }, room->keys_t, room->stride, rows,
                     lanes_up(room->W), room->D, false);
}

/* Columns of a query's distances to keys: that of key j is columns[-j]. */
static const int32_t *columns_of(const DistanceRoom *room, int64_t i)
{
    return room->of->rows + room->of->origin + i;
}

void distance_add(const DistanceRoom *room, float *s, int64_t r, int64_t i, KeyRange keys)
{
    if (room->of == NULL)
        return;
    const int32_t *columns = columns_of(room, i);
    if (room->of->keys != NULL) {
        const float *by_query = room->by_query + r * room->stride - room->lo;
        for (int64_t j = keys.first; j < keys.end; j++)
            s[j - keys.first] += by_query[columns[-j]];
    }
    if (room->of->queries != NULL)
        for (int64_t j = keys.first; j < keys.end; j++)
            s[j - keys.first] += room->by_key[j * room->stride + columns[-j] - room->lo];
}

void distance_backward_begin(const DistanceRoom *room, int64_t h)
{
    const AttentionDistances *of = room->of;
    if (of == NULL)
        return;
    memset(room->dkeys, 0, (size_t)(2 * room->W * room->DP) * sizeof(float));
    memset(room->dby_query, 0, (size_t)((QUERY_BLOCK + room->T) * room->stride) * sizeof(float));
    if (of->keys != NULL)
        pack_table(room, room->keys, of->keys, h, 1.0f);
}

void distance_pull_row(const DistanceRoom *room, const float *ds, int64_t r, int64_t i, KeyRange keys)
{
    if (room->of == NULL)
        return;
    const int32_t *columns = columns_of(room, i);
    float *dby_query = room->dby_query + r * room->stride - room->lo;
    for (int64_t j = keys.first; j < keys.end; j++) {
        dby_query[columns[-j]] += ds[j - keys.first];
        room->dby_key[j * room->stride + columns[-j] - room->lo] += ds[j - keys.first];
    }
}

void distance_pull_block(const DistanceRoom *room, float *dq, const float *q, int64_t rows)
{
    if (room->of == NULL)
        return;
    if (room->of->keys != NULL) {
        tile_product(dq, room->DP, (TileLeft){ room->dby_query, room->stride, 1 }, room->keys, room->DP, rows, room->DP,
                     room->W, true);
        tile_product(room->dkeys, room->DP, (TileLeft){ room->dby_query, 1, room->stride }, q, room->DP, room->W,
                     room->DP, rows, true);
    }
    memset(room->dby_query, 0, (size_t)(rows * room->stride) * sizeof(float));
}

/* table's rows of the head += scale d[W,DP] */
static void add_table(const DistanceRoom *room, float *table, const float *d, int64_t h, float scale)
{
    for (int64_t w = 0; table != NULL && w < room->W; w++) {
        float *row = table + (room->lo + w) * room->of->ld + h * room->D;
#pragma omp simd
        for (int64_t c = 0; c < room->D; c++)
            row[c] += scale * d[w * room->DP + c];
    }
}

void distance_end(const DistanceRoom *room, float *dkeys, TilePanels keys, const AttentionShape *shape, int64_t h)
{
    const AttentionDistances *of = room->of;
    if (of == NULL)
        return;
    if (of->queries != NULL) {
        tile_product(dkeys, room->DP, (TileLeft){ room->dby_key, room->stride, 1 }, room->queries, room->DP, room->T,
                     room->DP, room->W, true);
        tile_panel_product(room->dqueries, room->DP, (TileLeft){ room->dby_key, 1, room->stride }, keys, room->W,
                           room->DP, room->T, true);
        add_table(room, of->dqueries, room->dqueries, h, shape->scale);
    }
    if (of->keys != NULL)
        add_table(room, of->dkeys, room->dkeys, h, 1.0f);
}
