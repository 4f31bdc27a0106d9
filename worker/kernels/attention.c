/* DESIGN. A task is one sequence and one key/value head. Its keys (transposed)
 * and values are packed once; then blocks of QUERY_BLOCK query rows go through:
 *
 *     S = Q K^T,  P = exp(S - max),  out = P V / sum
 *
 * all keys at a time, so that a block's S is the largest thing kept (64 x 512
 * floats, 128 kB: the second-level cache) and softmax needs no rescaling.
 * With a window few rows go together, and meet the keys that any of them sees:
 * what is left out would have been zero, so no bit depends on how many. */
#include "worker/kernels/attention_distances.h"
#include "worker/kernels/attention_parts.h"
#include "worker/kernels/vmath.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* A thread's scratch, all padded to vectors. */
typedef struct ForwardRoom {
    float *keys; /* panels of [D,T] */
    float *values; /* panels of [T,D] */
    float *q; /* [QUERY_BLOCK,DP], scaled */
    float *s; /* [QUERY_BLOCK,stride] */
    float *out; /* [QUERY_BLOCK,DP] */
    int64_t stride, DP;
} ForwardRoom;

/* Floats of one thread's scratch in attention_backward.c, the larger of the two. */
static int64_t thread_floats(const AttentionShape *shape, int64_t longest)
{
    const int64_t D = shape->D, DP = lanes_up(D), stride = score_stride(shape, longest);
    return 2 * D * panels_up(longest) + longest * panels_up(D) + 2 * longest * DP + 3 * QUERY_BLOCK * DP +
           2 * QUERY_BLOCK * stride + stride;
}

int64_t attention_scratch(const AttentionShape *shape, int64_t longest, int threads)
{
    return threads * (thread_floats(shape, longest) + distance_floats(shape, longest)) * (int64_t)sizeof(float);
}

static ForwardRoom packed_of(float *scratch, const AttentionShape *shape, int64_t T)
{
    ForwardRoom p = { .stride = score_stride(shape, T), .DP = lanes_up(shape->D) };
    p.keys = scratch;
    p.values = p.keys + shape->D * panels_up(T);
    p.q = p.values + T * panels_up(shape->D);
    p.s = p.q + QUERY_BLOCK * p.DP;
    p.out = p.s + QUERY_BLOCK * p.stride;
    return p;
}

/* The row loops below go by whole vectors and keep a result a lane: a simd
 * reduction would end in a chain of LANES scalar additions, which is most of a
 * short row's time. */

/* The largest of s[0,seen), with everything behind it up to `width` set to -inf. */
static float row_max(float *s, int32_t seen, int32_t width)
{
    float max[LANES];
    for (int32_t l = 0; l < LANES; l++)
        max[l] = -INFINITY;
    for (int32_t j = 0; j < width; j += LANES) {
#pragma omp simd
        for (int32_t l = 0; l < LANES; l++) {
            const float v = j + l < seen ? s[j + l] : -INFINITY;
            s[j + l] = v;
            max[l] = v > max[l] ? v : max[l];
        }
    }
    for (int32_t half = LANES / 2; half > 0; half /= 2) {
        for (int32_t l = 0; l < half; l++)
            max[l] = max[l + half] > max[l] ? max[l + half] : max[l];
    }
    return max[0];
}

static float sum_lanes(float *sum)
{
    for (int32_t half = LANES / 2; half > 0; half /= 2) {
        for (int32_t l = 0; l < half; l++)
            sum[l] += sum[l + half];
    }
    return sum[0];
}

/* s = exp(s - max); returns the sum. */
static float row_exp(float *s, float max, int32_t width)
{
    float sum[LANES] = { 0 };
    for (int32_t j = 0; j < width; j += LANES) {
#pragma omp simd
        for (int32_t l = 0; l < LANES; l++) {
            const float e = vm_exp(s[j + l] - max);
            s[j + l] = e;
            sum[l] += e;
        }
    }
    return sum_lanes(sum);
}

/* The same, but what the mask drops is left out of s, not of the sum. */
static float row_exp_drop(float *s, float max, RowMask mask, int32_t width)
{
    float sum[LANES] = { 0 };
    for (int32_t j = 0; j < width; j += LANES) {
#pragma omp simd
        for (int32_t l = 0; l < LANES; l++) {
            const float e = vm_exp(s[j + l] - max);
            const uint32_t bits = rng_bits(mask.key, mask.first + (uint32_t)(j + l));
            s[j + l] = bits >= mask.threshold ? e : 0.0f;
            sum[l] += e;
        }
    }
    return sum_lanes(sum);
}

/* One head of one sequence. */
typedef struct HeadForward {
    const AttentionShape *shape;
    const Dropout *dropout;
    const float *q; /* its first row */
    float *out, *lse;
    int64_t b, h, T, first; /* T: keys; first: the head's first row among those of all heads */
    const DistanceRoom *distances;
    int64_t count; /* keys */
} HeadForward;

/* Products of row i, the block's r-th, with keys -> its scores. */
static void score_row(const HeadForward *head, float *s, int64_t r, int64_t i, KeyRange keys)
{
    const AttentionShape *shape = head->shape;
    if (sees_even(shape, i, head->count)) {
        even_scores(s, keys);
        return;
    }
    distance_add(head->distances, s, r, i, keys);
    bend_scores(s, NULL, shape, head->h, i, keys, lanes_up(keys.end - keys.first));
    hide_before(s, shape, keys, i);
}

static void forward_block(const HeadForward *head, const ForwardRoom *p, int64_t first, int64_t rows)
{
    const AttentionShape *shape = head->shape;
    const int64_t D = shape->D, T = head->T;
    const int64_t most = keys_for(shape, first + rows - 1, head->count, T);
    const KeyRange keys = keys_of_block(shape, first, rows, most);
    const int64_t width = lanes_up(keys.end - keys.first);

    for (int64_t r = 0; r < rows; r++)
        fetch_to_write(head->out + (first + r) * shape->ldout, D);
    pack_rows(p->q, head->q + first * shape->ldqkv, shape->ldqkv, rows, D, shape->scale);
    tile_panel_product(p->s, p->stride, (TileLeft){ p->q, p->DP, 1 }, key_panels(p->keys, keys, D), rows, width, D,
                       false);
    distance_take_block(head->distances, p->q, rows);
    float factor[QUERY_BLOCK];
    for (int64_t r = 0; r < rows; r++) {
        const int64_t i = first + r;
        float *s = p->s + r * p->stride;
        if (sees_nothing(shape, i, head->count)) {
            memset(s, 0, (size_t)width * sizeof *s);
            head->lse[i] = factor[r] = 0.0f;
            continue;
        }
        score_row(head, s, r, i, keys);
        const int64_t seen = keys_seen(shape, i, keys_for(shape, i, head->count, T)) - keys.first;
        const float max = row_max(s, (int32_t)seen, (int32_t)width);
        const float sum =
            head->dropout->p > 0.0f
                ? row_exp_drop(s, max, attention_mask(head->dropout, head->b, head->first + i, T, keys.first),
                               (int32_t)width)
                : row_exp(s, max, (int32_t)width);
        head->lse[i] = max + vm_log(sum);
        factor[r] = 1.0f / (sum * (1.0f - head->dropout->p));
    }
    tile_panel_product(p->out, p->DP, (TileLeft){ p->s, p->stride, 1 },
                       (TilePanels){ p->values + keys.first * PANEL, T * PANEL }, rows, p->DP, keys.end - keys.first,
                       false);
    for (int64_t r = 0; r < rows; r++) {
        float *out = head->out + (first + r) * shape->ldout;
#pragma omp simd
        for (int64_t d = 0; d < D; d++)
            out[d] = p->out[r * p->DP + d] * factor[r];
    }
}

void attention_forward(float *out, float *lse, const float *qkv, const Rows *rows, const AttentionShape *shape,
                       Dropout dropout, void *scratch)
{
    const int64_t H = shape->H, K = shape->K, D = shape->D, group = H / K;
    const int64_t longest = longest_rows(shape, rows), own = thread_floats(shape, longest);
    const int64_t floats = own + distance_floats(shape, longest);
    const int64_t together = rows_together(shape);
    const int threads = attention_threads(shape);

#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t task = 0; task < rows->B * K; task++) {
        const int64_t b = task / K, k = task % K;
        const int64_t start = rows->start[b], T = rows->start[b + 1] - start;
        const QueryRange wanted = queries_of(shape, b, T);
        if (wanted.first >= wanted.end)
            continue;
        const float *base = qkv + start * shape->ldqkv;
        const KeyRows keys = keys_of(shape, qkv, rows, b);
        float *room = (float *)scratch + omp_get_thread_num() * floats;
        const ForwardRoom p = packed_of(room, shape, keys.T);
        DistanceRoom distances;

        const float *head_keys = keys.at + attention_k_at(shape, k);
        tile_panels_transposed(p.keys, head_keys, keys.ld, keys.T, D);
        tile_panels(p.values, keys.at + attention_v_at(shape, k), keys.ld, keys.T, D);
        for (int64_t h = k * group; h < (k + 1) * group; h++) {
            distance_begin(&distances, room + own, shape, h, T, head_keys, keys.ld);
            const HeadForward head = { .shape = shape,
                                       .dropout = &dropout,
                                       .q = base + attention_q_at(shape, h),
                                       .out = out + start * shape->ldout + h * D,
                                       .lse = lse + h * rows->N + start,
                                       .b = b,
                                       .h = h,
                                       .T = keys.T,
                                       .first = h * T,
                                       .distances = &distances,
                                       .count = key_count(shape, b, keys.T) };
            for (int64_t i = wanted.first; i < wanted.end; i += together)
                forward_block(&head, &p, i, wanted.end - i < together ? wanted.end - i : together);
        }
    }
}
