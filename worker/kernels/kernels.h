/* kernels - the loops around the matrix products. Outputs first, then inputs,
 * then sizes and scalars; no allocation, no globals, no project types but the
 * random key. Rows are independent; with OpenMP threads they are shared out, and
 * results do not depend on how many. `d...` arguments of backward kernels are
 * ADDED to, unless the comment says "written".
 *
 * Dropout: `keys` names the random stream of an example. Element (local row, column c)
 * of example e is dropped when rng_bits(keys[e], local_row * C + c) < rng_threshold(p);
 * survivors are scaled by 1/(1-p). Rows are counted from the start of their example,
 * so masks do not depend on what else is in the micro-batch.
 *
 * Threads: any, one call at a time in OpenMP. */
#ifndef WORKER_KERNELS_KERNELS_H
#define WORKER_KERNELS_KERNELS_H

#include "common/base/activation.h"
#include "common/base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the sequences of a micro-batch lie, end to end in N = start[B] rows. */
typedef struct Rows {
    int64_t B, N, longest;
    const int64_t *start; /* [B+1] */
} Rows;

/* One dropout site for one micro-batch: a key an example. p = 0: off. */
typedef struct Dropout {
    float p;
    const RngKey *keys; /* [B]; NULL when p is 0 */
} Dropout;

/* ---- norm (rows of C) ----------------------------------------------------- */

/* Layer norm, or with `rms` the norm of the scale alone (no mean; RMSNorm), whose bias is NULL.
 *
 * y[N,C] = norm(x + residual) * gain + bias, where residual may be NULL.
 * The sum is what backward needs: normalised rows are kept in xhat[N,C] and
 * 1/deviation in inv[N] (both written; xhat NULL when no backward follows). */
void norm_forward(float *y, float *xhat, float *inv, const float *x, const float *residual, const float *gain,
                  const float *bias, int64_t N, int64_t C, float eps, bool rms);

/* What is added to what before it is normalised: dropout(x + bias) + residual. */
typedef struct NormInput {
    const float *x; /* [N,C] */
    const float *bias; /* [C] of the linear before it; NULL: none */
    const float *residual; /* [N,C] */
    Dropout dropout;
    float *sum; /* [N,C] receives what is normalised; may be the residual; NULL: not wanted */
} NormInput;

typedef struct NormScale {
    const float *gain, *bias; /* [C]; gain NULL: the sum alone, and y is left with anything */
    int64_t C;
    float eps;
    bool rms; /* no mean, no bias */
} NormScale;

/* The same of a sum, in one pass: y[N,C] = norm(dropout(x + bias) + residual). */
void sum_norm_forward(float *y, float *xhat, float *inv, const NormInput *input, const Rows *rows,
                      const NormScale *norm);

/* ds[N,C] (written) = gradient at the sum that was normalised, plus dsum[N,C], what else
 * comes to it (NULL: nothing). dgain[C], dbias[C] are added to when not NULL. ds may be dy
 * or dsum. */
void norm_backward(float *ds, float *dgain, float *dbias, const float *dy, const float *dsum, const float *xhat,
                   const float *inv, const float *gain, int64_t N, int64_t C, bool rms);

/* ---- activations ---------------------------------------------------------- */

/* y[N,F] = act(x[N,F] + bias[F]); bias may be NULL. `pre` (may be NULL, may be x)
 * receives x + bias for backward. */
void bias_act_forward(float *y, float *pre, const float *x, const float *bias, int64_t N, int64_t F, Activation act);

/* dx[N,F] (written; may be dy) = dy * act'(pre). */
void act_backward(float *dx, const float *dy, const float *pre, int64_t N, int64_t F, Activation act);

/* Gated: with gate | up = x[N,2F] + bias[2F] (NULL: none), y[N,F] = act(gate) * up. pre[N,2F]
 * (may be x) receives gate | up for backward. */
void gated_act_forward(float *y, float *pre, const float *x, const float *bias, int64_t N, int64_t F, Activation act);

/* dpre[N,2F] (written; may be pre) from dy[N,F] and pre[N,2F]. */
void gated_act_backward(float *dpre, const float *dy, const float *pre, int64_t N, int64_t F, Activation act);

/* ---- element rows --------------------------------------------------------- */

void bias_add(float *x, const float *bias, int64_t N, int64_t C); /* x[n,:] += bias */
void bias_backward(float *dbias, const float *dy, int64_t ldy, int64_t N, int64_t C); /* column sums, added */

/* y[N,C] (written; may be x) = x with the site's mask and scale. The same call
 * on a gradient is its backward. */
void dropout_apply(float *y, const float *x, const Rows *rows, Dropout dropout, int64_t C);

/* y[n,:] = word[ids[n],:] + position[places[n],:] + type[types[n],:]; word may be NULL (y holds its
 * rows), position too,
 * and so may types (then type row 0 is used when `type` is not NULL). */
void embed_forward(float *y, const int32_t *ids, const int32_t *types, const float *word, const float *position,
                   const int32_t *places, const float *type, int64_t N, int64_t C);

/* The square patches of images [B, channels, size, size], row by row as a convolution with
 * kernel = stride = patch sees them: out[B * (size/patch)^2, channels * patch * patch]. */
void patches_gather(float *out, const float *pixels, int64_t B, int64_t channels, int64_t size, int64_t patch);

/* Rows of sequences of 1 + P: y[b,0,:] = first + position[0,:], y[b,1+p,:] = x[b,p,:] + bias +
 * position[1+p,:]; x[B*P,C]. bias may be NULL. */
void patches_embed(float *y, const float *x, const float *bias, const float *first, const float *position, int64_t B,
                   int64_t P, int64_t C);

/* Heads that turn, in a row: groups of some that lie side by side, and the first R of each head's D. */
typedef struct RopeHeads {
    int64_t groups, count; /* of heads in a group */
    int64_t step; /* floats from one group to the next */
    int64_t D, R;
    bool neighbours; /* pairs are (2j, 2j + 1), not (j, j + R/2) */
} RopeHeads;

/* Rotates pairs (j, j + R/2) of each head in rows x[n,:] (row stride ld), by the angle of the row's
 * place t in its sequence:
 * (a, b) -> (a cos - b sin, b cos + a sin). cosine, sine: [longest, R/2]. back: by the
 * opposite angle, which is the gradient's way. Sources: modeling_llama, rotate_half; modeling_gptj,
 * rotate_every_two. */
void rope_apply(float *x, int64_t ld, const RopeHeads *heads, const Rows *rows, const float *cosine, const float *sine,
                bool back);

/* ---- attention ------------------------------------------------------------ */

/* softmax(q k^T * scale) v for each sequence of the micro-batch and each head.
 * qkv[N, 3C']: a row holds q | k | v, heads side by side (q: H*D, k and v: K*D;
 * row stride ldqkv), or grouped: for every key head its H/K heads of q, then k, then v. out[N, H*D]. lse[H,N] keeps log-sum-exp of every query row
 * for backward. Blocked: no T x T matrix is kept; dropout on probabilities by
 * counters: element (query i, key j) of head h of example e uses
 * rng_bits(keys[e], (h * T + i) * T + j).
 * window: query i sees keys above i - window only, and, not causal, those below i + window; 0: no such bound.
 * cap: scores s become cap tanh(s / cap) before any is hidden; 0: they stay.
 * added[H, ldadded]: what is added to the scores of key j, or with `by_distance` of key j to query i, at
 * origin - i + j; NULL: nothing.
 * distances: terms of scores by distance, as below; NULL: none. As many query heads as key heads then.
 * kv: keys and values of other rows, kv[keys->N, 2K*D] (row stride ldkv, k | v): sequence b's queries see those of
 * sequence b of `keys`; NULL: they are in qkv.
 * q_first, q_end [B]: the query rows [q_first, q_end) of each sequence that are wanted
 * (NULL: all); other out rows and lse are not written.
 * scratch: attention_scratch() bytes (for all `threads`), aligned to 64 for speed;
 * serves forward and backward of any batch with no longer a sequence. */
typedef struct AttentionShape {
    int64_t H, K, D;
    int64_t ldqkv, ldout;
    float scale;
    bool causal;
    int64_t window;
    const int64_t *q_first, *q_end;
    const int64_t
        *k_end; /* [B] keys of each sequence: rows behind see them, and are seen by none; NULL: all rows are keys */
    bool even_behind; /* rows behind see all of the sequence's rows instead, each as much as the others (not causal, and
                         without a window) */
    int threads; /* that scratch has room for; 0: one */
    bool grouped;
    float cap;
    const float *added;
    int64_t ldadded;
    bool by_distance;
    int64_t origin;
    float *dadded; /* [H, ldadded] backward, by_distance: added to; NULL: not wanted */
    const struct AttentionDistances *distances; /* NULL: none */
    const float *kv;
    int64_t ldkv;
    const Rows *keys;
    float *dkv; /* backward: kv's gradient (written) */
} AttentionShape;

/* Terms of scores that depend on the distance of key and query (He et al. 2021): to scale q_i . k_j come
 * scale q_i . keys[row] and scale k_j . queries[row], row = rows[origin + i - j]; keys, queries [count, H*D]
 * (row stride ld), NULL: no such term. dkeys, dqueries: of backward, added to. */
typedef struct AttentionDistances {
    const float *keys, *queries;
    float *dkeys, *dqueries;
    const int32_t *rows; /* [2 origin + 1] */
    int64_t origin, count, ld;
} AttentionDistances;

/* Where in a row of qkv head h of q begins, and head k of keys and of values. */
static inline int64_t attention_q_at(const AttentionShape *s, int64_t h)
{
    const int64_t group = s->H / s->K;
    return (s->grouped ? h / group * (group + 2) + h % group : h) * s->D;
}
static inline int64_t attention_k_at(const AttentionShape *s, int64_t k)
{
    const int64_t group = s->H / s->K;
    if (s->kv != NULL)
        return k * s->D;
    return (s->grouped ? k * (group + 2) + group : s->H + k) * s->D;
}
static inline int64_t attention_v_at(const AttentionShape *s, int64_t k)
{
    return attention_k_at(s, k) + (s->grouped ? 1 : s->K) * s->D;
}

/* What is added to query i's scores of head h, from key 0 on. */
static inline const float *attention_added(const AttentionShape *s, int64_t h, int64_t i)
{
    return s->added + h * s->ldadded + (s->by_distance ? s->origin - i : 0);
}

int64_t attention_scratch(const AttentionShape *shape, int64_t longest, int threads);

void attention_forward(float *out, float *lse, const float *qkv, const Rows *rows, const AttentionShape *shape,
                       Dropout dropout, void *scratch);

/* dqkv[N, 3C'] (written, same layout as qkv) from dout[N,H*D], with lse of forward.
 * Query rows that were not wanted get dq = 0, and their dout is not read. */
void attention_backward(float *dqkv, const float *dout, const float *lse, const float *qkv, const Rows *rows,
                        const AttentionShape *shape, Dropout dropout, void *scratch);

/* What a query row sees: the first `seen` tokens (the last `window` of them), whose keys and values lie in pages. */
typedef struct AttentionRow {
    float *const *pages; /* [seen / tokens, rounded up] */
    int64_t seen;
} AttentionRow;

typedef struct AttentionPages {
    int64_t tokens; /* of a page */
    int64_t keys, values; /* floats into a page where its keys[tokens, K*D] begin, and its values */
} AttentionPages;

/* out[N,H*D] (row stride shape->ldout) of query rows q[N,H*D] (shape->ldqkv), each by itself: a row's bits do not
 * depend on the others, nor on where pages end. scores[shape->threads, ldscores]: room, ldscores >= the most seen. */
void attention_rows(float *out, const float *q, const AttentionRow *rows, int64_t N, const AttentionPages *pages,
                    const AttentionShape *shape, float *scores, int64_t ldscores);

/* ---- magnitudes (layers/magnitude.h) --------------------------------------- */

/* y[n,:] = c * z[n,:], or += with `add`; y may be z. */
void scale_columns(float *y, int64_t ldy, const float *z, int64_t ldz, const float *c, int64_t N, int64_t C, bool add);

/* out[C] += scale[C] * sum_n a[n,:] b[n,:] */
void dot_columns(float *out, const float *scale, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t N,
                 int64_t C);

/* norms[O] (written) = |w[O,I] + scale b[O,R] a[R,I]| of each row. */
void adapted_row_norms(float *norms, const float *w, const float *a, const float *b, float scale, int64_t O, int64_t I,
                       int64_t R);

/* sums[C] += the squares of each column of e[V,C] + scale a[R,V]^T b[R,C]; a has the row stride lda. */
void adapted_column_squares(double *sums, const float *e, const float *a, int64_t lda, const float *b, float scale,
                            int64_t V, int64_t C, int64_t R);

/* ---- small products --------------------------------------------------------- */

/* y[N,O] = alpha * x[N,I] . w[O,I]^T + beta * y, as gemm_nt, with a promise: a row's numbers are those that it has
 * alone, to the bit. */
void row_products(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t N, int64_t O,
                  int64_t I, float alpha, float beta);

/* The left factor: element (m, k) is at[m * row + k * step], so a transposed
 * matrix is one with its strides exchanged. */
typedef struct TileLeft {
    const float *at;
    int64_t row, step;
} TileLeft;

/* c[M,N] = a[M,K] . b[K,N], or += with `add`. N is a multiple of the level's lanes. */
void tile_product(float *c, int64_t ldc, TileLeft a, const float *b, int64_t ldb, int64_t M, int64_t N, int64_t K,
                  bool add);

/* dst[D,stride] = the first D columns of src[T,ld], transposed; columns from T up
 * to whole vectors are zero. */
void tile_transpose(float *dst, int64_t stride, const float *src, int64_t ld, int64_t T, int64_t D);

/* ---- packed numbers (layers/frozen.h) ------------------------------------------ */

/* out[n] as floats, exactly. */
void unpack_bf16(float *out, const uint16_t *in, int64_t n);

/* out[n] = in * scale */
void unpack_int8(float *out, const int8_t *in, float scale, int64_t n);

/* out[n] = numbers [begin, begin + n) of a matrix, two codes a byte (common/base/nf4.h), times the scale of their
 * block; scales[0] is that of the block which `begin` lies in. */
void unpack_nf4(float *out, const uint8_t *codes, const float *scales, int64_t begin, int64_t n);

/* ---- losses (sums, not means; double) ------------------------------------- */

/* Sum over rows of -log softmax(logits[n])[goal[n]]; dlogits[N,V] written as the
 * gradient of the SUM (NULL: loss only). goal -100: row is skipped, gradient 0.
 * Returns the sum; *count receives the rows that counted. smoothing e: of a goal that is
 * 1 - e, and e / V in every column (Transformers, trainer_pt_utils.LabelSmoother). */
double cross_entropy(float *dlogits, const float *logits, const int32_t *goal, int64_t N, int64_t V, double smoothing,
                     int64_t *count);

/* The loss of a row, and what it is without smoothing. */
typedef struct RowLoss {
    double loss, plain;
} RowLoss;

/* The same for wide rows: in place (`gradient`: logits become their gradient, else they are
 * left), rows shared out among threads, exponentials in float. loss[N] (written) is 0 where
 * the goal is -100. */
void wide_cross_entropy(float *logits, RowLoss *loss, const int32_t *goal, int64_t N, int64_t V, double smoothing,
                        bool gradient);

/* x[N,V] become scale * x, and with a cap (0: none) cap tanh(scale * x / cap). */
void bend_logits(float *x, int64_t N, int64_t V, float scale, float cap);

/* dx[N,V], the gradient at what bend_logits gave (bent[N,V]; without a cap it is not read) -> at what it was given. */
void bend_logits_backward(float *dx, const float *bent, int64_t N, int64_t V, float scale, float cap);

/* Sum over rows of (logits[n,0] - goal[n])^2. */
double mean_square(float *dlogits, const float *logits, const float *goal, int64_t N);

/* Sum over rows of the MEAN over V labels of binary cross entropy with logits. */
double binary_cross_entropy(float *dlogits, const float *logits, const float *goal, int64_t N, int64_t V);

/* ---- speed ------------------------------------------------------------------- */

/* Multiplies and adds in registers, *operations times in all; the sum is of no use but to be used. */
float peak_rounds(int64_t rounds, int64_t *operations);

/* ---- levels ------------------------------------------------------------------ */

/* All kernels are compiled once for each level of the CPU (Makefile, levels.h), and called through
 * the table of the level in use: kernels->row_products(...). */
/* clang-format off */
#define KERNEL_LIST(K) \
    K(norm_forward) K(sum_norm_forward) K(norm_backward) \
    K(bias_act_forward) K(act_backward) K(gated_act_forward) K(gated_act_backward) \
    K(bias_add) K(bias_backward) K(dropout_apply) K(embed_forward) K(patches_gather) \
    K(patches_embed) K(rope_apply) K(attention_scratch) K(attention_forward) \
    K(attention_backward) K(attention_rows) K(scale_columns) K(dot_columns) \
    K(adapted_row_norms) K(adapted_column_squares) K(row_products) K(tile_product) K(tile_transpose) \
    K(unpack_bf16) K(unpack_int8) K(unpack_nf4) \
    K(cross_entropy) K(wide_cross_entropy) K(bend_logits) K(bend_logits_backward) K(mean_square) K(binary_cross_entropy) \
    K(peak_rounds)
/* clang-format on */

typedef struct Kernels {
    int lanes; /* floats of a vector */
#define KERNEL_POINTER(name) __typeof__(name) *name;
    KERNEL_LIST(KERNEL_POINTER)
#undef KERNEL_POINTER
} Kernels;

/* The level in use: the lowest, until levels_use takes another. */
extern const Kernels *kernels;

#endif
