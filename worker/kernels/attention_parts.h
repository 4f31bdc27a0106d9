/* attention_parts - what attention forward and backward share: where a head's
 * numbers lie, how they are packed into scratch, how a row's mask is drawn.
 *
 * Packed matrices are padded with zeros to whole vectors: head size D to DP,
 * sequence length T to a width of whole vectors.
 *
 * Threads: any. */
#ifndef WORKER_KERNELS_ATTENTION_PARTS_H
#define WORKER_KERNELS_ATTENTION_PARTS_H

#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"
#include "worker/kernels/tile.h"
#include "worker/kernels/vmath.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { QUERY_BLOCK = 64 }; /* query rows that go through together */

/* Row stride of matrices as wide as a sequence: an odd number of vectors, or
 * columns of a power-of-two length would all fall into the same few cache sets. */
static inline int64_t sequence_stride(int64_t T)
{
    const int64_t vectors = (T + LANES - 1) / LANES;
    return (vectors | 1) * LANES;
}

/* dst[rows,DP] = src[rows,D] * scale */
static inline void pack_rows(float *dst, const float *src, int64_t ldsrc, int64_t rows, int64_t D, float scale)
{
    const int64_t DP = lanes_up(D);
    for (int64_t i = 0; i < rows; i++) {
        fetch_row(src + (i + ROWS_AHEAD) * ldsrc, D);
#pragma omp simd
        for (int64_t d = 0; d < D; d++)
            dst[i * DP + d] = src[i * ldsrc + d] * scale;
        for (int64_t d = D; d < DP; d++)
            dst[i * DP + d] = 0.0f;
    }
}

/* The mask of a query row (all heads' rows one behind the other) that sees T keys, from key `from` on. */
static inline RowMask attention_mask(const Dropout *dropout, int64_t b, int64_t row, int64_t T, int64_t from)
{
    return (RowMask){ .key = dropout->keys[b],
                      .first = (uint32_t)(row * T + from),
                      .threshold = rng_threshold(dropout->p),
                      .scale = 1.0f / (1.0f - dropout->p) };
}

/* Keys of sequence b, with T rows: what is behind them is padding. */
static inline int64_t key_count(const AttentionShape *shape, int64_t b, int64_t T)
{
    return shape->k_end != NULL ? shape->k_end[b] : T;
}

/* Whether row i, behind the sequence's keys, sees all rows of the sequence alike. */
static inline bool sees_even(const AttentionShape *shape, int64_t i, int64_t count)
{
    return shape->even_behind && i >= count;
}

/* Keys that row i chooses from: those of the sequence, with T rows. */
static inline int64_t keys_for(const AttentionShape *shape, int64_t i, int64_t count, int64_t T)
{
    return sees_even(shape, i, count) ? T : count;
}

/* Of the sequence's first `count` keys those that query row i sees: [keys_from, keys_seen). */
static inline int64_t keys_seen(const AttentionShape *shape, int64_t i, int64_t count)
{
    const int64_t next = shape->causal ? i + 1 : shape->window > 0 ? i + shape->window : count;
    return next < count ? next : count;
}
static inline int64_t keys_from(const AttentionShape *shape, int64_t i)
{
    return shape->window > 0 && i >= shape->window ? i - shape->window + 1 : 0;
}

/* A row of padding whose window lies behind the last key: it sees nothing. */
static inline bool sees_nothing(const AttentionShape *shape, int64_t i, int64_t count)
{
    return keys_from(shape, i) >= keys_seen(shape, i, count);
}

/* The keys [first,end) that any of some query rows sees. `first` is of whole panels, so that
 * scores, counted from it, fit the packed width. */
typedef struct KeyRange {
    int64_t first, end;
} KeyRange;

static inline KeyRange keys_of_block(const AttentionShape *shape, int64_t first, int64_t rows, int64_t count)
{
    const int64_t end = keys_seen(shape, first + rows - 1, count), from = keys_from(shape, first);
    return (KeyRange){ .first = (from < end ? from : end - 1) / PANEL * PANEL, .end = end };
}

/* The range's panels of those of all keys, transposed. */
static inline TilePanels key_panels(const float *keys_t, KeyRange keys, int64_t D)
{
    return (TilePanels){ keys_t + keys.first * D, D * PANEL };
}

/* Query rows whose scores are of one range of keys: with a window few, or most of what is computed nobody sees. */
static inline int64_t rows_together(const AttentionShape *shape)
{
    return shape->window > 0 ? 2 * TILE_ROWS : QUERY_BLOCK;
}

/* Row stride of the scores of a block, in a sequence of T keys. */
static inline int64_t score_stride(const AttentionShape *shape, int64_t T)
{
    const int64_t most = QUERY_BLOCK + 2 * shape->window + PANEL;
    return sequence_stride(shape->window > 0 && most < T ? most : T);
}

/* The scores of a row that sees keys alike. */
static inline void even_scores(float *s, KeyRange keys)
{
    memset(s, 0, (size_t)lanes_up(keys.end - keys.first) * sizeof *s);
}

/* Row i's scores of keys [keys.first, + width): what is added to them, then the cap, whose slope goes to `slope`
 * (NULL: not wanted; only where there is a cap). */
static inline void bend_scores(float *s, float *slope, const AttentionShape *shape, int64_t h, int64_t i, KeyRange keys,
                               int64_t width)
{
    if (shape->added != NULL) {
        const float *added = attention_added(shape, h, i) + keys.first;
        for (int64_t j = 0; j < keys.end - keys.first; j++)
            s[j] += added[j];
    }
    if (shape->cap <= 0.0f)
        return;
    const float cap = shape->cap, part = 1.0f / cap;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
        const float y = vm_tanh(s[j] * part);
        s[j] = cap * y;
        if (slope != NULL)
            slope[j] = 1.0f - y * y;
    }
}

/* Scores of row i that lie before its window, put where exp makes them nothing. */
static inline void hide_before(float *s, const AttentionShape *shape, KeyRange keys, int64_t i)
{
    for (int64_t j = keys.first; j < keys_from(shape, i) && j < keys.end; j++)
        s[j - keys.first] = -INFINITY;
}

/* The query rows [first,end) of sequence b, with T tokens, that are wanted. */
typedef struct QueryRange {
    int64_t first, end;
} QueryRange;

static inline QueryRange queries_of(const AttentionShape *shape, int64_t b, int64_t T)
{
    return shape->q_first != NULL ? (QueryRange){ shape->q_first[b], shape->q_end[b] } : (QueryRange){ 0, T };
}

/* Where the keys and values of sequence b lie: rows of their own, or those of the queries. */
typedef struct KeyRows {
    const float *at;
    int64_t ld, start, T, longest;
} KeyRows;

static inline KeyRows keys_of(const AttentionShape *shape, const float *qkv, const Rows *rows, int64_t b)
{
    const bool own = shape->kv != NULL;
    const Rows *of = own ? shape->keys : rows;
    const int64_t ld = own ? shape->ldkv : shape->ldqkv, start = of->start[b];
    return (KeyRows){ (own ? shape->kv : qkv) + start * ld, ld, start, of->start[b + 1] - start, of->longest };
}

/* The longest of all sequences: by which scratch is shared out. */
static inline int64_t longest_rows(const AttentionShape *shape, const Rows *rows)
{
    const int64_t keys = shape->kv != NULL ? shape->keys->longest : 0;
    return keys > rows->longest ? keys : rows->longest;
}

/* Threads that share the heads of the micro-batch out. */
static inline int attention_threads(const AttentionShape *shape)
{
    return shape->threads > 1 ? shape->threads : 1;
}

#endif
