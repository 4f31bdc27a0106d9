#include "worker/kernels/profiled.h"

#include "common/base/profile.h"
#include "worker/kernels/kernels.h"

static const Kernels *real;

static const double size = sizeof(float);

/* name, what it is called, [rows, columns], flops, bytes; its parameters, and what is passed on */
#define TIMED(kernel, label, rows, columns, flops, bytes, parameters, arguments)                                       \
    static void kernel##_timed parameters                                                                              \
    {                                                                                                                  \
        const double begin = profile_begin();                                                                          \
        real->kernel arguments;                                                                                        \
        profile_end(begin, label, rows, columns, flops, bytes);                                                        \
    }

#define TIMED_LOSS(kernel, label, rows, columns, bytes, parameters, arguments)                                         \
    static double kernel##_timed parameters                                                                            \
    {                                                                                                                  \
        const double begin = profile_begin();                                                                          \
        const double loss = real->kernel arguments;                                                                    \
        profile_end(begin, label, rows, columns, 0, bytes);                                                            \
        return loss;                                                                                                   \
    }

/* Bytes of `arrays` arrays of n rows of c floats. */
static double floats(int arrays, int64_t n, int64_t c)
{
    return size * arrays * (double)n * (double)c;
}

/* ---- norms, activations, rows --------------------------------------------------------- */

TIMED(norm_forward, "norm, forward", 0, C, 0, floats(2 + (residual != NULL) + (xhat != NULL), N, C),
      (float *y, float *xhat, float *inv, const float *x, const float *residual, const float *gain, const float *bias,
       int64_t N, int64_t C, float eps, bool rms),
      (y, xhat, inv, x, residual, gain, bias, N, C, eps, rms))

TIMED(sum_norm_forward, "bias, dropout, sum and norm, forward", 0, norm->C, 0,
      floats(3 + (xhat != NULL) + (input->sum != NULL), rows->N, norm->C),
      (float *y, float *xhat, float *inv, const NormInput *input, const Rows *rows, const NormScale *norm),
      (y, xhat, inv, input, rows, norm))

TIMED(norm_backward, "norm, backward", 0, C, 0, floats(3 + (dsum != NULL), N, C),
      (float *ds, float *dgain, float *dbias, const float *dy, const float *dsum, const float *xhat, const float *inv,
       const float *gain, int64_t N, int64_t C, bool rms),
      (ds, dgain, dbias, dy, dsum, xhat, inv, gain, N, C, rms))

TIMED(bias_act_forward, "bias and activation, forward", 0, F, 0, floats(2 + (pre != NULL && pre != x), N, F),
      (float *y, float *pre, const float *x, const float *bias, int64_t N, int64_t F, Activation act),
      (y, pre, x, bias, N, F, act))

TIMED(act_backward, "activation, backward", 0, F, 0, floats(3, N, F),
      (float *dx, const float *dy, const float *pre, int64_t N, int64_t F, Activation act), (dx, dy, pre, N, F, act))

TIMED(gated_act_forward, "gated activation, forward", 0, F, 0, floats(3 + 2 * (pre != NULL && pre != x), N, F),
      (float *y, float *pre, const float *x, const float *bias, int64_t N, int64_t F, Activation act),
      (y, pre, x, bias, N, F, act))

TIMED(gated_act_backward, "gated activation, backward", 0, F, 0, floats(5, N, F),
      (float *dpre, const float *dy, const float *pre, int64_t N, int64_t F, Activation act),
      (dpre, dy, pre, N, F, act))

TIMED(bias_add, "bias, forward", 0, C, 0, floats(2, N, C), (float *x, const float *bias, int64_t N, int64_t C),
      (x, bias, N, C))

TIMED(bias_backward, "bias, backward", 0, C, 0, floats(1, N, C),
      (float *dbias, const float *dy, int64_t ldy, int64_t N, int64_t C), (dbias, dy, ldy, N, C))

TIMED(dropout_apply, "dropout", 0, C, 0, floats(2, rows->N, C),
      (float *y, const float *x, const Rows *rows, Dropout dropout, int64_t C), (y, x, rows, dropout, C))

TIMED(embed_forward, "embedding, forward", 0, C, 0, floats(2, N, C),
      (float *y, const int32_t *ids, const int32_t *types, const float *word, const float *position,
       const int32_t *places, const float *type, int64_t N, int64_t C),
      (y, ids, types, word, position, places, type, N, C))

TIMED(patches_gather, "patches, gathered", 0, channels *patch *patch, 0, floats(2, B *channels, image *image),
      (float *out, const float *pixels, int64_t B, int64_t channels, int64_t image, int64_t patch),
      (out, pixels, B, channels, image, patch))

TIMED(patches_embed, "patches, embedded", 0, C, 0, floats(2, B *(P + 1), C),
      (float *y, const float *x, const float *bias, const float *first, const float *position, int64_t B, int64_t P,
       int64_t C),
      (y, x, bias, first, position, B, P, C))

TIMED(rope_apply, "rotation", 0, heads->groups * heads->count * heads->R, 0,
      floats(2, rows->N, heads->groups * heads->count * heads->R),
      (float *x, int64_t ld, const RopeHeads *heads, const Rows *rows, const float *cosine, const float *sine,
       bool back),
      (x, ld, heads, rows, cosine, sine, back))

TIMED(scale_columns, "magnitude, columns", 0, C, 0, floats(2 + add, N, C),
      (float *y, int64_t ldy, const float *z, int64_t ldz, const float *c, int64_t N, int64_t C, bool add),
      (y, ldy, z, ldz, c, N, C, add))

TIMED(dot_columns, "magnitude, backward", 0, C, 2.0 * (double)N * (double)C, floats(2, N, C),
      (float *out, const float *scale, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t N, int64_t C),
      (out, scale, a, lda, b, ldb, N, C))

TIMED(adapted_row_norms, "magnitude, norms", O, I, 2.0 * (double)O * (double)I * (double)(R + 1), floats(1, O, I),
      (float *norms, const float *w, const float *a, const float *b, float scale, int64_t O, int64_t I, int64_t R),
      (norms, w, a, b, scale, O, I, R))

TIMED(adapted_column_squares, "magnitude, norms", V, C, 2.0 * (double)V * (double)C * (double)(R + 1), floats(1, V, C),
      (double *sums, const float *e, const float *a, int64_t lda, const float *b, float scale, int64_t V, int64_t C,
       int64_t R),
      (sums, e, a, lda, b, scale, V, C, R))

TIMED(row_products, "x W^T, few rows", O, I, 2.0 * (double)N * (double)O * (double)I,
      floats(1, O, I) + floats(1, N, O + I),
      (float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t N, int64_t O, int64_t I,
       float alpha, float beta),
      (y, ldy, x, ldx, w, ldw, N, O, I, alpha, beta))

/* ---- attention ------------------------------------------------------------------------ */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Pairs of a query and a key that it sees, of sequence b: wanted queries only. */
static int64_t pairs_of(const AttentionShape *s, const Rows *rows, int64_t b)
{
    const Rows *others = s->kv ? s->keys : rows;
    const int64_t T = rows->start[b + 1] - rows->start[b], keys = others->start[b + 1] - others->start[b];
    const int64_t seen = s->k_end ? s->k_end[b] : keys;
    int64_t pairs = 0;
    for (int64_t i = s->q_first ? s->q_first[b] : 0; i < (s->q_end ? s->q_end[b] : T); i++) {
        const int64_t first = s->window > 0 && i >= s->window ? i - s->window + 1 : 0;
        int64_t end = seen;
        if (s->causal)
            end = least(end, i + 1);
        else if (s->window > 0)
            end = least(end, i + s->window);
        pairs += end > first ? end - first : 0;
    }
    return pairs;
}

/* A multiply-add of D numbers a pair and head: scores and values forward; both again and three gradients backward. */
static double attention_flops(const AttentionShape *s, const Rows *rows, int products)
{
    int64_t pairs = 0;
    for (int64_t b = 0; b < rows->B; b++)
        pairs += pairs_of(s, rows, b);
    return 2.0 * products * (double)s->D * (double)s->H * (double)pairs;
}

static double attention_bytes(const AttentionShape *s, const Rows *rows, int times)
{
    const Rows *others = s->kv ? s->keys : rows;
    return times * (floats(2, rows->N, s->H * s->D) + floats(2, others->N, s->K * s->D));
}

TIMED(attention_forward, "attention, forward", shape->H, shape->D, begin < 0 ? 0 : attention_flops(shape, rows, 2),
      attention_bytes(shape, rows, 1),
      (float *out, float *lse, const float *qkv, const Rows *rows, const AttentionShape *shape, Dropout dropout,
       void *scratch),
      (out, lse, qkv, rows, shape, dropout, scratch))

TIMED(attention_backward, "attention, backward", shape->H, shape->D, begin < 0 ? 0 : attention_flops(shape, rows, 5),
      attention_bytes(shape, rows, 2),
      (float *dqkv, const float *dout, const float *lse, const float *qkv, const Rows *rows,
       const AttentionShape *shape, Dropout dropout, void *scratch),
      (dqkv, dout, lse, qkv, rows, shape, dropout, scratch))

/* ---- losses --------------------------------------------------------------------------- */

TIMED_LOSS(cross_entropy, "loss", 0, V, floats(2, N, V),
           (float *dlogits, const float *logits, const int32_t *goal, int64_t N, int64_t V, double smoothing,
            int64_t *count),
           (dlogits, logits, goal, N, V, smoothing, count))

TIMED(wide_cross_entropy, "loss", 0, V, 0, floats(1 + gradient, N, V),
      (float *logits, RowLoss *loss, const int32_t *goal, int64_t N, int64_t V, double smoothing, bool gradient),
      (logits, loss, goal, N, V, smoothing, gradient))

TIMED(bend_logits, "logits, scale and cap", 0, V, 0, floats(2, N, V),
      (float *x, int64_t N, int64_t V, float scale, float cap), (x, N, V, scale, cap))

TIMED(bend_logits_backward, "logits, scale and cap, backward", 0, V, 0, floats(2, N, V),
      (float *dx, const float *bent, int64_t N, int64_t V, float scale, float cap), (dx, bent, N, V, scale, cap))

TIMED_LOSS(mean_square, "loss", 0, 1, floats(2, N, 1),
           (float *dlogits, const float *logits, const float *goal, int64_t N), (dlogits, logits, goal, N))

TIMED_LOSS(binary_cross_entropy, "loss", 0, V, floats(2, N, V),
           (float *dlogits, const float *logits, const float *goal, int64_t N, int64_t V),
           (dlogits, logits, goal, N, V))

/* clang-format off */
#define TIMED_LIST(K) \
    K(norm_forward) K(sum_norm_forward) K(norm_backward) K(bias_act_forward) K(act_backward) K(gated_act_forward) \
    K(gated_act_backward) K(bias_add) K(bias_backward) K(dropout_apply) K(embed_forward) K(patches_gather) \
    K(patches_embed) K(rope_apply) K(scale_columns) K(dot_columns) K(adapted_row_norms) K(adapted_column_squares) \
    K(row_products) K(attention_forward) K(attention_backward) K(cross_entropy) K(wide_cross_entropy) K(bend_logits) \
    K(bend_logits_backward) K(mean_square) K(binary_cross_entropy)
/* clang-format on */

void profiled_use(void)
{
    static Kernels timed;
    real = kernels;
    timed = *real;
#define TAKE(name) timed.name = name##_timed;
    TIMED_LIST(TAKE)
#undef TAKE
    kernels = &timed;
}
