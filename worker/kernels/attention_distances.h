/* attention_distances - the terms of attention's scores that depend on the distance of query and key, of one head and
 * one sequence, in packed scratch as the rest of attention is.
 *
 * Of the tables' rows only those are packed that the sequence's distances mean, [lo, lo + W); q . keys is made for a
 * block of queries, k . queries once for all keys.
 *
 * Threads: any. */
#ifndef WORKER_KERNELS_ATTENTION_DISTANCES_H
#define WORKER_KERNELS_ATTENTION_DISTANCES_H

#include "worker/kernels/attention_parts.h"

typedef struct DistanceRoom {
    const AttentionDistances *of; /* NULL: there are no such terms */
    int64_t T, D, DP, lo, W, stride;
    float *keys_t, *queries_t; /* [D,stride]; queries are scaled */
    float *by_query; /* [QUERY_BLOCK,stride] scaled q . keys */
    float *by_key; /* [T,stride] k . scaled queries */
    float *keys, *queries; /* [W,DP], backward: as above */
    float *dby_query, *dby_key; /* [QUERY_BLOCK,stride], [T,stride] */
    float *dkeys, *dqueries; /* [W,DP] */
} DistanceRoom;

/* Floats of a thread's scratch, for forward and backward of sequences up to `longest`. */
int64_t distance_floats(const AttentionShape *shape, int64_t longest);

/* Packs head h's rows; keys[T,D] (row stride ldkeys): the sequence's keys. */
void distance_begin(DistanceRoom *room, float *scratch, const AttentionShape *shape, int64_t h, int64_t T,
                    const float *keys, int64_t ldkeys);

/* For the query rows [first, first + rows), q[rows,DP] packed and scaled. */
void distance_take_block(const DistanceRoom *room, const float *q, int64_t rows);

/* s of row r of the block, query i, of keys [keys.first, keys.end): their terms are added. */
void distance_add(const DistanceRoom *room, float *s, int64_t r, int64_t i, KeyRange keys);

/* Backward: distance_begin, too. ds of a row -> what it means for the products; then of the block, and of the head. */
void distance_backward_begin(const DistanceRoom *room, int64_t h);
void distance_pull_row(const DistanceRoom *room, const float *ds, int64_t r, int64_t i, KeyRange keys);
/* dq[rows,DP] (of the scaled q) += ... */
void distance_pull_block(const DistanceRoom *room, float *dq, const float *q, int64_t rows);
/* dkeys[T,DP] += ..., keys[T,D] as they are; the tables' gradients are added to those of the shape. */
void distance_end(const DistanceRoom *room, float *dkeys, TilePanels keys, const AttentionShape *shape, int64_t h);

#endif
