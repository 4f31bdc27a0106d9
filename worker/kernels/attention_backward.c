/* DESIGN. As attention.c: a task is one sequence and one key/value head, and
 * blocks of query rows go through. P is made again from the log-sum-exp that
 * forward kept. With M = mask / (1 - p) (all ones without dropout):
 *
 *     P = exp(Q K^T - lse)          dV += (P M)^T dout
 *     dP = (dout V^T) M             dS = P (dP - delta),  delta = rowsum(P dP)
 *     dQ = dS K                     dK += dS^T Q
 *
 * (FlashAttention, Dao et al. 2022, appendix B.4). The scale of the scores is
 * put into the packed Q, so that dK needs none and dQ gets it at the end. */
#include "worker/kernels/attention_distances.h"
#include "worker/kernels/attention_parts.h"
#include "worker/kernels/vmath.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct BackwardRoom {
    float *keys_t, *values_t; /* panels of [D,T] */
    float *keys; /* panels of [T,D] */
    float *dkeys, *dvalues; /* [T,DP], sums over the blocks and heads of the task */
    float *q, *dout, *dq; /* [QUERY_BLOCK,DP]; q is scaled */
    float *p, *ds; /* [QUERY_BLOCK,stride] */
    float *slope; /* [stride] of a cap */
    int64_t stride, DP;
} BackwardRoom;

/* Sized by thread_floats() in attention.c. */
static BackwardRoom packed_of(float *scratch, const AttentionShape *shape, int64_t T)
{
    const int64_t transposed = shape->D * panels_up(T);
    BackwardRoom p = { .stride = score_stride(shape, T), .DP = lanes_up(shape->D) };
    p.keys_t = scratch;
    p.values_t = p.keys_t + transposed;
    p.keys = p.values_t + transposed;
    p.dkeys = p.keys + T * panels_up(shape->D);
    p.dvalues = p.dkeys + T * p.DP;
    p.q = p.dvalues + T * p.DP;
    p.dout = p.q + QUERY_BLOCK * p.DP;
    p.dq = p.dout + QUERY_BLOCK * p.DP;
    p.p = p.dq + QUERY_BLOCK * p.DP;
    p.ds = p.p + QUERY_BLOCK * p.stride;
    p.slope = p.ds + QUERY_BLOCK * p.stride;
    return p;
}

/* What a row's dP is measured from: its mean under P. Of the same numbers as the
 * row's dS, so that dS sums to zero as exactly as P does; taken as dout out it would
 * bring the rounding of another order of sums, and where P is near uniform that is
 * as large as dS itself. */
static float weighted_mean(float *weights, float *weighted)
{
    for (int32_t half = LANES / 2; half > 0; half /= 2) {
        for (int32_t l = 0; l < half; l++) {
            weights[l] += weights[l + half];
            weighted[l] += weighted[l + half];
        }
    }
    return weighted[0] / weights[0];
}

/* Scores and dout V^T become P and dS, in place; 0 from `seen` up to `width`. */
static void row_backward(float *p, float *ds, float lse, int32_t seen, int32_t width)
{
    float weights[LANES] = { 0 }, weighted[LANES] = { 0 };
    for (int32_t j = 0; j < width; j += LANES) {
#pragma omp simd
        for (int32_t l = 0; l < LANES; l++) {
            const float e = j + l < seen ? vm_exp(p[j + l] - lse) : 0.0f;
            p[j + l] = e;
            weights[l] += e;
            weighted[l] += e * ds[j + l];
        }
    }
    const float delta = weighted_mean(weights, weighted);
#pragma omp simd
    for (int32_t j = 0; j < width; j++)
        ds[j] = p[j] * (ds[j] - delta);
}

/* The same with a mask. Between the loops a dropped probability is kept as its negative. */
static void row_backward_drop(float *p, float *ds, float lse, RowMask mask, int32_t seen, int32_t width)
{
    float weights[LANES] = { 0 }, weighted[LANES] = { 0 };
    for (int32_t j = 0; j < width; j += LANES) {
#pragma omp simd
        for (int32_t l = 0; l < LANES; l++) {
            const float e = j + l < seen ? vm_exp(p[j + l] - lse) : 0.0f;
            const uint32_t bits = rng_bits(mask.key, mask.first + (uint32_t)(j + l));
            const bool kept = bits >= mask.threshold;
            const float dp = kept ? ds[j + l] * mask.scale : 0.0f;
            p[j + l] = kept ? e : -e;
            ds[j + l] = dp;
            weights[l] += e;
            weighted[l] += e * dp;
        }
    }
    const float delta = weighted_mean(weights, weighted);
#pragma omp simd
    for (int32_t j = 0; j < width; j++) {
        ds[j] = fabsf(p[j]) * (ds[j] - delta);
        p[j] = p[j] > 0.0f ? p[j] * mask.scale : 0.0f;
    }
}

/* One head of one sequence; rows as in the caller's matrices. */
typedef struct HeadBackward {
    const AttentionShape *shape;
    const Dropout *dropout;
    const float *q, *dout, *lse;
    float *dq;
    int64_t b, h, T, first; /* as HeadForward's */
    int64_t queries;
    const DistanceRoom *distances;
    int64_t count; /* keys */
} HeadBackward;

/* Of what is added by distance: the gradient is that of each score. */
static void pull_added(const AttentionShape *shape, const float *ds, int64_t h, int64_t i, KeyRange keys)
{
    if (shape->dadded == NULL)
        return;
    float *to = shape->dadded + h * shape->ldadded + shape->origin - i;
    for (int64_t j = keys.first; j < keys.end; j++)
        to[j] += ds[j - keys.first];
}

/* Scores and dout V^T of row i become P (with its mask) and dS. */
static void weigh_row(const HeadBackward *head, float *p, float *ds, int64_t i, KeyRange keys)
{
    const AttentionShape *shape = head->shape;
    const int64_t seen = keys_seen(shape, i, keys_for(shape, i, head->count, head->T)) - keys.first;
    const int32_t width = (int32_t)lanes_up(keys.end - keys.first);
    if (head->dropout->p > 0.0f)
        row_backward_drop(p, ds, head->lse[i],
                          attention_mask(head->dropout, head->b, head->first + i, head->T, keys.first), (int32_t)seen,
                          width);
    else
        row_backward(p, ds, head->lse[i], (int32_t)seen, width);
}

/* Scores and dout V^T of a row, the r-th of its block -> P (with its mask) and dS. */
static void row_scores(const HeadBackward *head, const BackwardRoom *p, float *p_r, float *ds_r, int64_t r, int64_t i,
                       KeyRange keys)
{
    const AttentionShape *shape = head->shape;
    const int64_t width = lanes_up(keys.end - keys.first);
    if (sees_nothing(shape, i, head->count)) {
        memset(p_r, 0, (size_t)width * sizeof *p_r);
        memset(ds_r, 0, (size_t)width * sizeof *ds_r);
    } else if (sees_even(shape, i, head->count)) {
        even_scores(p_r, keys);
        weigh_row(head, p_r, ds_r, i, keys);
        memset(ds_r, 0, (size_t)width * sizeof *ds_r); /* what it sees does not depend on scores */
    } else {
        distance_add(head->distances, p_r, r, i, keys);
        bend_scores(p_r, p->slope, shape, head->h, i, keys, width);
        hide_before(p_r, shape, keys, i);
        weigh_row(head, p_r, ds_r, i, keys);
        for (int64_t j = 0; shape->cap > 0.0f && j < width; j++)
            ds_r[j] *= p->slope[j];
        pull_added(shape, ds_r, head->h, i, keys);
        distance_pull_row(head->distances, ds_r, r, i, keys);
    }
}

/* Of the block's p and ds, whose keys begin at `from`: of rows [r, r + rows), where they see `keys`, from its packed q
 * and dout; and dq. */
static void band_scores(const HeadBackward *head, const BackwardRoom *p, int64_t from, int64_t first, int64_t r,
                        int64_t rows, KeyRange keys)
{
    const int64_t D = head->shape->D, DP = p->DP, width = lanes_up(keys.end - keys.first);
    float *at = p->p + r * p->stride + keys.first - from, *ds = p->ds + r * p->stride + keys.first - from;

    tile_panel_product(at, p->stride, (TileLeft){ p->q + r * DP, DP, 1 }, key_panels(p->keys_t, keys, D), rows, width,
                       D, false);
    tile_panel_product(ds, p->stride, (TileLeft){ p->dout + r * DP, DP, 1 }, key_panels(p->values_t, keys, D), rows,
                       width, D, false);
    for (int64_t n = 0; n < rows; n++)
        row_scores(head, p, at + n * p->stride, ds + n * p->stride, r + n, first + r + n, keys);
    tile_panel_product(p->dq + r * DP, DP, (TileLeft){ ds, p->stride, 1 },
                       (TilePanels){ p->keys + keys.first * PANEL, head->T * PANEL }, rows, DP, keys.end - keys.first,
                       false);
}

/* Where rows see no more than a window, what lies beside it in the block's P and dS is nothing. */
static void clear_beside(const BackwardRoom *p, int64_t from, int64_t end, int64_t r, int64_t rows, KeyRange keys)
{
    const int64_t before = keys.first - from, behind = before + lanes_up(keys.end - keys.first);
    const int64_t width = lanes_up(end - from);
    for (int64_t n = r; n < r + rows; n++) {
        float *both[] = { p->p + n * p->stride, p->ds + n * p->stride };
        for (int i = 0; i < 2; i++) {
            memset(both[i], 0, (size_t)before * sizeof(float));
            memset(both[i] + behind, 0, (size_t)(width - behind) * sizeof(float));
        }
    }
}

/* dkeys, dvalues of a block += what its rows say that see any of a few keys at a time. */
static void pull_keys(const HeadBackward *head, const BackwardRoom *p, int64_t first, int64_t rows, KeyRange keys)
{
    const AttentionShape *shape = head->shape;
    const int64_t DP = p->DP, together = shape->window > 0 ? rows_together(shape) : keys.end - keys.first;
    for (int64_t j = keys.first; j < keys.end; j += together) {
        const int64_t count = keys.end - j < together ? keys.end - j : together;
        int64_t r = 0, end = rows;
        if (shape->window > 0) {
            const int64_t low = (shape->causal ? j : j - shape->window + 1) - first,
                          high = j + count - 1 + shape->window - first;
            r = low > 0 ? low : 0;
            end = high < rows ? high : rows;
            if (r >= end)
                continue;
        }
        const int64_t at = r * p->stride + j - keys.first;
        tile_product(p->dvalues + j * DP, DP, (TileLeft){ p->p + at, 1, p->stride }, p->dout + r * DP, DP, count, DP,
                     end - r, true);
        tile_product(p->dkeys + j * DP, DP, (TileLeft){ p->ds + at, 1, p->stride }, p->q + r * DP, DP, count, DP,
                     end - r, true);
    }
}

static void backward_block(const HeadBackward *head, const BackwardRoom *p, int64_t first, int64_t rows)
{
    const AttentionShape *shape = head->shape;
    const int64_t D = shape->D, DP = p->DP, together = rows_together(shape);
    const KeyRange keys = keys_of_block(shape, first, rows, keys_for(shape, first + rows - 1, head->count, head->T));

    pack_rows(p->q, head->q + first * shape->ldqkv, shape->ldqkv, rows, D, shape->scale);
    pack_rows(p->dout, head->dout + first * shape->ldout, shape->ldout, rows, D, 1.0f);
    distance_take_block(head->distances, p->q, rows);
    for (int64_t r = 0; r < rows; r += together) {
        const int64_t count = rows - r < together ? rows - r : together, last = first + r + count - 1;
        const KeyRange seen = keys_of_block(shape, first + r, count, keys_for(shape, last, head->count, head->T));
        band_scores(head, p, keys.first, first, r, count, seen);
        clear_beside(p, keys.first, keys.end, r, count, seen);
    }
    pull_keys(head, p, first, rows, keys);
    distance_pull_block(head->distances, p->dq, p->q, rows);
    for (int64_t r = 0; r < rows; r++) {
        float *dq = head->dq + (first + r) * shape->ldqkv;
#pragma omp simd
        for (int64_t d = 0; d < D; d++)
            dq[d] = p->dq[r * DP + d] * shape->scale;
    }
}

/* dst[T,D] = src[T,DP] */
static void unpack_rows(float *dst, int64_t lddst, const float *src, int64_t T, int64_t D)
{
    for (int64_t j = 0; j < T; j++)
        memcpy(dst + j * lddst, src + j * lanes_up(D), (size_t)D * sizeof *dst);
}

/* What all tasks see. */
typedef struct BackwardCall {
    float *dqkv;
    const float *dout, *lse, *qkv;
    const Rows *rows;
    const AttentionShape *shape;
    const Dropout *dropout;
    float *scratch;
    int64_t own, floats; /* of a thread's scratch: without what is of distances, all */
} BackwardCall;

static void backward_head(HeadBackward *head, const BackwardRoom *p, QueryRange wanted)
{
    const int64_t ld = head->shape->ldqkv;
    for (int64_t i = wanted.first; i < wanted.end; i += QUERY_BLOCK)
        backward_block(head, p, i, wanted.end - i < QUERY_BLOCK ? wanted.end - i : QUERY_BLOCK);
    for (int64_t i = 0; i < head->queries; i++) {
        if (i < wanted.first || i >= wanted.end)
            memset(head->dq + i * ld, 0, (size_t)head->shape->D * sizeof(float));
    }
}

/* One sequence and one key/value head. */
static void backward_task(const BackwardCall *call, int64_t b, int64_t k)
{
    const AttentionShape *shape = call->shape;
    const int64_t D = shape->D, group = shape->H / shape->K, ld = shape->ldqkv;
    const int64_t start = call->rows->start[b], T = call->rows->start[b + 1] - start;
    const KeyRows at = keys_of(shape, call->qkv, call->rows, b);
    const float *keys = at.at + attention_k_at(shape, k), *values = at.at + attention_v_at(shape, k);
    float *dkeys = (shape->kv != NULL ? shape->dkv : call->dqkv) + at.start * at.ld;
    float *room = call->scratch + omp_get_thread_num() * call->floats;
    const BackwardRoom p = packed_of(room, shape, at.T);
    DistanceRoom distances;

    tile_panels_transposed(p.keys_t, keys, at.ld, at.T, D);
    tile_panels_transposed(p.values_t, values, at.ld, at.T, D);
    tile_panels(p.keys, keys, at.ld, at.T, D);
    memset(p.dkeys, 0, (size_t)(2 * at.T * p.DP) * sizeof(float));
    for (int64_t h = k * group; h < (k + 1) * group; h++) {
        const int64_t out_at = start * shape->ldout + h * D, q_at = start * ld + attention_q_at(shape, h);
        HeadBackward head = { .shape = shape,
                              .dropout = call->dropout,
                              .q = call->qkv + q_at,
                              .dout = call->dout + out_at,
                              .lse = call->lse + h * call->rows->N + start,
                              .dq = call->dqkv + q_at,
                              .b = b,
                              .h = h,
                              .T = at.T,
                              .queries = T,
                              .first = h * T,
                              .count = key_count(shape, b, at.T),
                              .distances = &distances };
        distance_begin(&distances, room + call->own, shape, h, T, keys, at.ld);
        distance_backward_begin(&distances, h);
        backward_head(&head, &p, queries_of(shape, b, T));
        distance_end(&distances, p.dkeys, (TilePanels){ p.keys, at.T * PANEL }, shape, h);
    }
    unpack_rows(dkeys + attention_k_at(shape, k), at.ld, p.dkeys, at.T, D);
    unpack_rows(dkeys + attention_v_at(shape, k), at.ld, p.dvalues, at.T, D);
}

/* Gradients of what depends on distances are sums over sequences: then a head is one task, so that their order is
 * fixed. */
void attention_backward(float *dqkv, const float *dout, const float *lse, const float *qkv, const Rows *rows,
                        const AttentionShape *shape, Dropout dropout, void *scratch)
{
    const int64_t sequences = shape->distances != NULL || shape->dadded != NULL ? rows->B : 1,
                  tasks = rows->B * shape->K / sequences;
    const int threads = attention_threads(shape);
    const int64_t longest = longest_rows(shape, rows);
    const int64_t floats = attention_scratch(shape, longest, 1) / (int64_t)sizeof(float);
    const BackwardCall call = { .dqkv = dqkv,
                                .dout = dout,
                                .lse = lse,
                                .qkv = qkv,
                                .rows = rows,
                                .shape = shape,
                                .dropout = &dropout,
                                .scratch = scratch,
                                .own = floats - distance_floats(shape, longest),
                                .floats = floats };

#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t task = 0; task < tasks; task++)
        for (int64_t i = 0; i < sequences; i++)
            backward_task(&call, sequences > 1 ? i : task / shape->K, task % shape->K);
}
