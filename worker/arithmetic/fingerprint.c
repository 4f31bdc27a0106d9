#include "worker/arithmetic/fingerprint.h"

#include "common/base/activation.h"
#include "common/base/digest.h"
#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/tensor/safetensors.h"
#include "worker/kernels/blas.h"
#include "worker/kernels/gemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- inputs ---------------------------------------------------------------------------------- */

/* Whole multiples of 2^-23 in [-1, 1): the same on every machine, whatever computes them. */
static float *numbers_new(int64_t n, uint64_t stream)
{
    float *x = xmalloc((size_t)n * sizeof *x);
    uint64_t state = stream * 0x9e3779b97f4a7c15U + 1;
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U; /* Knuth's */
        x[i] = (float)((int32_t)(state >> 40) - (1 << 23)) / (float)(1 << 23);
    }
    return x;
}

/* The factors of all products, and what stood in their results before: each takes as many as it needs. */
typedef struct Factors {
    float *a, *b, *before;
} Factors;

static Factors factors_new(int64_t a, int64_t b, int64_t before)
{
    return (Factors){ numbers_new(a, 1), numbers_new(b, 2), numbers_new(before, 3) };
}

static void factors_release(Factors *f)
{
    free(f->a);
    free(f->b);
    free(f->before);
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- products -------------------------------------------------------------------------------- */

enum { CHECKED_WHOLE = 1 << 18 }; /* multiply-adds */

typedef enum { PRODUCT_NT, PRODUCT_NN, PRODUCT_TN } ProductKind;

/* Shapes that tell cores and releases apart: smaller than the smallest register tile, edges on every side,
 * the sums of a LoRA, several blocks of K (cores take 192 to 768 at once), products that libraries compute
 * by ways of their own because they are small or their sides even, and those of a model of some width. */
static const struct {
    int64_t M, N, K;
    float alpha, beta;
} shapes[] = {
    { 3, 5, 7, 1, 0 },      { 16, 32, 32, 1, 0 },   { 33, 47, 1001, 1, 0 },  { 40, 64, 64, 1, 0 },
    { 130, 96, 70, 1, 1 },  { 70, 8, 768, 1, 0 },   { 70, 768, 8, 0.5f, 1 }, { 8, 320, 200, 0.5f, 0 },
    { 24, 131, 400, 1, 0 }, { 128, 64, 768, 1, 0 }, { 48, 768, 384, 1, 0 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void product(ProductKind kind, float *c, const float *a, const float *b, int64_t M, int64_t N, int64_t K,
                    float alpha, float beta)
{
    if (kind == PRODUCT_NT)
        gemm_nt(c, N, a, K, b, K, M, N, K, alpha, beta);
    else if (kind == PRODUCT_NN)
        gemm_nn(c, N, a, K, b, N, M, N, K, alpha, beta);
    else
        gemm_tn(c, N, a, M, b, N, M, N, K, alpha, beta);
}

/* b[N,K] as [K,N], in which the plain loop reads it. */
static float *turned_new(const float *b, int64_t N, int64_t K)
{
    float *turned = xmalloc((size_t)(K * N) * sizeof *turned);
    for (int64_t k = 0; k < K; k++)
        for (int64_t n = 0; n < N; n++)
            turned[k * N + n] = b[n * K + k];
    return turned;
}

/* sums[n] = sum_k a(m,k) b[k,n], the plain loop. */
static void plain_row(double *sums, ProductKind kind, const float *a, const float *b, int64_t m, int64_t M, int64_t N,
                      int64_t K)
{
    for (int64_t n = 0; n < N; n++)
        sums[n] = 0;
    for (int64_t k = 0; k < K; k++) {
        const double a_mk = (double)(kind == PRODUCT_TN ? a[k * M + m] : a[m * K + k]);
        for (int64_t n = 0; n < N; n++)
            sums[n] += a_mk * (double)b[k * N + n];
    }
}

static bool is_right(double got, double expected, int64_t K)
{
    return fabs(got - expected) <= 1e-6 * (4 + sqrt((double)K) + fabs(expected)); /* NaN is not */
}

static bool product_is_right(ProductKind kind, int which, const Factors *f, uint64_t *digest, char *wrong, size_t room)
{
    const int64_t M = shapes[which].M, N = shapes[which].N, K = shapes[which].K;
    const float alpha = shapes[which].alpha, beta = shapes[which].beta;
    const size_t bytes = (size_t)(M * N) * sizeof(float);
    float *c = memcpy(xmalloc(bytes), f->before, bytes);
    double *sums = xmalloc((size_t)N * sizeof *sums);
    float *turned = kind == PRODUCT_NT ? turned_new(f->b, N, K) : NULL;
    bool right = true;
    product(kind, c, f->a, f->b, M, N, K, alpha, beta);
    const int64_t step = M * N * K > CHECKED_WHOLE ? 9 : 1; /* the loop is slow, and all rows alike but the last */
    for (int64_t m = (M - 1) % step; right && m < M; m += step) {
        plain_row(sums, kind, f->a, turned ? turned : f->b, m, M, N, K);
        for (int64_t n = 0; right && n < N; n++) {
            const double expected = (double)alpha * sums[n] + (double)beta * (double)f->before[m * N + n];
            right = is_right((double)c[m * N + n], expected, K);
            if (!right)
                snprintf(wrong, room, "a product of %lld x %lld x %lld gives %g for %g", (long long)M, (long long)K,
                         (long long)N, (double)c[m * N + n], expected);
        }
    }
    *digest = digest_fast_more(*digest, c, bytes);
    free(c);
    free(turned);
    free(sums);
    return right;
}

bool fingerprint_products(uint64_t *digest, char *wrong, size_t room)
{
    int64_t a = 0, b = 0, c = 0;
    for (int i = 0; i < SHAPES; i++) {
        a = most(a, shapes[i].M * shapes[i].K);
        b = most(b, shapes[i].K * shapes[i].N);
        c = most(c, shapes[i].M * shapes[i].N);
    }
    Factors f = factors_new(a, b, c);
    bool right = true;
    for (int i = 0; i < SHAPES; i++)
        for (ProductKind kind = PRODUCT_NT; right && kind <= PRODUCT_TN; kind++)
            right = product_is_right(kind, i, &f, digest, wrong, room);
    factors_release(&f);
    return right;
}

/* ---- products in bf16 ------------------------------------------------------------------------- */

/* Edges of every side, sums of one block and of several, more rows and terms than are packed at a time. */
static const struct {
    int64_t N, O, I;
    float beta;
} half_shapes[] = {
    { 3, 5, 7, 0 }, { 13, 50, 96, 1 }, { 29, 33, 1601, 0.5f }, { 1030, 17, 40, 0 }, { 2, 19, 3090, 1 },
};
enum { HALVES = sizeof half_shapes / sizeof *half_shapes, MOST_FACTOR = 29 * 1601, MOST_MATRIX = 19 * 3090 };

static float float_of(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* w[O,I] multiplied with rows of I terms, or (pull) with rows of O. */
static bool halves_are_right(int which, bool pull, const Factors *f, const uint16_t *w, const Bf16Products *products,
                             uint64_t *digest, char *wrong, size_t room)
{
    const int64_t N = half_shapes[which].N, O = half_shapes[which].O, I = half_shapes[which].I;
    const int64_t outs = pull ? I : O, terms = pull ? O : I;
    const float beta = half_shapes[which].beta;
    const size_t bytes = (size_t)(N * outs) * sizeof(float);
    float *y = memcpy(xmalloc(bytes), f->before, bytes);
    float *packed = xmalloc((size_t)bf16_room(terms) * sizeof *packed);
    (pull ? products->nn : products->nt)(y, outs, f->a, terms, w, N, outs, terms, beta, packed);
    bool right = true;
    for (int64_t n = (N - 1) % 7; right && n < N; n += 7)
        for (int64_t o = 0; right && o < outs; o++) {
            double sum = (double)beta * (double)f->before[n * outs + o];
            for (int64_t k = 0; k < terms; k++)
                sum += (double)float_of(tensor_bf16(f->a[n * terms + k])) *
                       (double)float_of(pull ? w[k * outs + o] : w[o * terms + k]);
            right = is_right((double)y[n * outs + o], sum, terms);
            if (!right)
                snprintf(wrong, room, "a product of %lld x %lld x %lld gives %g for %g", (long long)N, (long long)terms,
                         (long long)outs, (double)y[n * outs + o], sum);
        }
    *digest = digest_fast_more(*digest, y, bytes);
    free(y);
    free(packed);
    return right;
}

bool fingerprint_bf16(uint64_t *digest, const Bf16Products *products, char *wrong, size_t room)
{
    Factors f = factors_new(MOST_FACTOR, MOST_MATRIX, MOST_FACTOR);
    uint16_t *w = xmalloc(MOST_MATRIX * sizeof *w);
    for (int64_t i = 0; i < MOST_MATRIX; i++)
        w[i] = tensor_bf16(f.b[i]);
    bool right = true;
    for (int i = 0; i < HALVES; i++)
        for (int pull = 0; right && pull < 2; pull++)
            right = halves_are_right(i, pull, &f, w, products, digest, wrong, room);
    factors_release(&f);
    free(w);
    return right;
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* Products cut in two, each half of GEMM_TILE_WORK, edges on every side. Kernels take 4 to 24 rows or columns at a
 * time, among them 12: cuts at a multiple of 192 would show nothing. Each kind is cut both ways, with one block of
 * K and with several: what the kinds do not share is how their factors are packed, not how blocks of K are added. */
static const struct {
    ProductKind kind;
    int64_t M, N, K;
    bool by_rows;
} cuts[] = {
    { PRODUCT_NT, 509, 371, 90, true },   { PRODUCT_NT, 147, 253, 463, false }, { PRODUCT_NN, 509, 51, 659, true },
    { PRODUCT_NN, 155, 1277, 85, false }, { PRODUCT_TN, 637, 157, 171, true },  { PRODUCT_TN, 51, 509, 659, false },
};
enum { CUTS = sizeof cuts / sizeof *cuts };

/* Where it is cut. */
static int64_t half(int64_t size)
{
    return (size / 2 + GEMM_TILE_STEP - 1) / GEMM_TILE_STEP * GEMM_TILE_STEP;
}

/* c = op(a) . op(b), rows [m, M) and columns [n, N). */
static void part(int which, float *c, const Factors *f, int64_t m, int64_t M, int64_t n, int64_t N)
{
    const bool turn_a = cuts[which].kind == PRODUCT_TN, turn_b = cuts[which].kind == PRODUCT_NT;
    const int64_t K = cuts[which].K, ldc = cuts[which].N;
    const int64_t lda = turn_a ? cuts[which].M : K, ldb = turn_b ? K : ldc;
    blas_sgemm(turn_a, turn_b, M - m, N - n, K, 1, f->a + (turn_a ? m : m * lda), lda, f->b + (turn_b ? n * ldb : n),
               ldb, 0, c + m * ldc + n, ldc);
}

static bool joins(int which, const Factors *f)
{
    const int64_t M = cuts[which].M, N = cuts[which].N;
    const size_t bytes = (size_t)(M * N) * sizeof(float);
    float *whole = memset(xmalloc(bytes), 0, bytes), *tiles = memset(xmalloc(bytes), 1, bytes);
    part(which, whole, f, 0, M, 0, N);
    if (cuts[which].by_rows) {
        part(which, tiles, f, 0, half(M), 0, N);
        part(which, tiles, f, half(M), M, 0, N);
    } else {
        part(which, tiles, f, 0, M, 0, half(N));
        part(which, tiles, f, 0, M, half(N), N);
    }
    const bool same = memcmp(whole, tiles, bytes) == 0;
    free(whole);
    free(tiles);
    return same;
}

bool fingerprint_tiles_join(void)
{
    int64_t a = 0, b = 0;
    for (int i = 0; i < CUTS; i++) {
        a = most(a, cuts[i].M * cuts[i].K);
        b = most(b, cuts[i].K * cuts[i].N);
    }
    Factors f = factors_new(a, b, 0);
    bool join = true;
    for (int i = 0; join && i < CUTS; i++)
        join = joins(i, &f);
    factors_release(&f);
    return join;
}

/* ---- kernels --------------------------------------------------------------------------------- */

enum { B = 3, N = 29, C = 45, H = 2, D = 12, W = 2 * C }; /* sequences, rows, widths, heads */
enum { RESULTS = 4096 };
static const int64_t start[B + 1] = { 0, 4, 21, 29 };
static const Rows rows = { B, N, 17, start };

/* What a level's kernels leave behind, one behind the other. */
typedef struct Results {
    float at[RESULTS * 8];
    int64_t count;
} Results;

static float *take(Results *results, int64_t n)
{
    REQUIRE(results->count + n <= (int64_t)(sizeof results->at / sizeof *results->at));
    float *at = results->at + results->count;
    results->count += n;
    return at;
}

/* A place for n numbers that hold something already. */
static float *take_filled(Results *results, const float *from, int64_t n)
{
    float *at = take(results, n);
    for (int64_t i = 0; i < n; i++)
        at[i] = from[i];
    return at;
}

static void run_rows(const Kernels *k, Results *r, const float *x, const float *y, Dropout dropout)
{
    float xhat[N * C], inv[N];
    for (int rms = 0; rms < 2; rms++) {
        k->norm_forward(take(r, N * C), xhat, inv, x, y, y, rms ? NULL : x, N, C, 1e-5f, rms);
        k->norm_backward(take(r, N * C), take_filled(r, x, C), rms ? NULL : take_filled(r, y, C), y, x, xhat, inv, x, N,
                         C, rms);
    }
    float *sum = take(r, N * C);
    const NormInput input = { .x = x, .bias = y, .residual = y, .dropout = dropout, .sum = sum };
    k->sum_norm_forward(take(r, N * C), NULL, inv, &input, &rows, &(NormScale){ y, x, C, 1e-5f, false });
    k->dropout_apply(take(r, N * C), x, &rows, dropout, C);
    k->bias_add(take_filled(r, x, N * C), y, N, C);
    k->bias_backward(take_filled(r, x, C), y, C, N, C);
    k->row_products(take(r, N), N, x, C, y, C, 1, N, C, 0.5f, 0);
    k->tile_transpose(take_filled(r, x, C * 32), 32, x, C, N, C);
    k->tile_product(take(r, 7 * 32), 32, (TileLeft){ x, C, 1 }, y, 32, 7, 32, 19, false);
}

static void run_activations(const Kernels *k, Results *r, const float *x, const float *y)
{
    for (int kind = 0; kind < ACTIVATIONS; kind++) {
        float pre[8 * W];
        k->bias_act_forward(take(r, 8 * C), pre, x, y, 8, C, kind);
        k->act_backward(take(r, 8 * C), y, pre, 8, C, kind);
        k->gated_act_forward(take(r, 4 * C), pre, x, y, 4, C, kind);
        k->gated_act_backward(take(r, 4 * W), y, pre, 4, C, kind);
    }
}

static void run_embeddings(const Kernels *k, Results *r, const float *x, const float *y)
{
    const int32_t ids[4] = { 0, 3, 1, 2 }, places[4] = { 1, 0, 2, 3 };
    k->embed_forward(take(r, 4 * C), ids, NULL, x, y, places, y, 4, C);
    k->patches_gather(take(r, 3 * 8 * 8), x, 1, 3, 8, 4);
    k->patches_embed(take(r, 5 * C), x, y, y, x, 1, 4, C);
    const RopeHeads heads = { .groups = 1, .count = H, .D = D, .R = D };
    k->rope_apply(take_filled(r, x, N * H * D), H * D, &heads, &rows, x, y, false);
}

static void run_attention(const Kernels *k, Results *r, const float *x, const float *y, Dropout dropout)
{
    for (int causal = 0; causal < 2; causal++) {
        const AttentionShape shape = { .H = H,
                                       .K = 1,
                                       .D = D,
                                       .ldqkv = (H + 2) * D,
                                       .ldout = H * D,
                                       .scale = 0.3f,
                                       .causal = causal,
                                       .window = causal ? 5 : 0,
                                       .threads = 1 };
        char *scratch = xmalloc((size_t)k->attention_scratch(&shape, rows.longest, 1) + 64);
        void *aligned = scratch + (64 - (uintptr_t)scratch % 64);
        float *out = take(r, N * H * D), *lse = take(r, H * N), *dqkv = take(r, N * (H + 2) * D);
        k->attention_forward(out, lse, x, &rows, &shape, dropout, aligned);
        k->attention_backward(dqkv, y, lse, x, &rows, &shape, dropout, aligned);
        float scores[8], page[2 * 7 * D], *const lone = page;
        memcpy(page, x, sizeof page / 2);
        memcpy(page + 7 * D, y, sizeof page / 2);
        k->attention_rows(take(r, H * D), x, &(AttentionRow){ &lone, 7 }, 1, &(AttentionPages){ 7, 0, 7 * D }, &shape,
                          scores, 8);
        free(scratch);
    }
}

static void run_magnitudes(const Kernels *k, Results *r, const float *x, const float *y)
{
    double squares[C] = { 0 };
    k->scale_columns(take(r, 9 * C), C, x, C, y, 9, C, false);
    k->scale_columns(take_filled(r, y, 9 * C), C, x, C, y, 9, C, true);
    k->dot_columns(take_filled(r, x, C), y, x, C, y, C, N, C);
    k->adapted_row_norms(take(r, 9), x, y, x, 0.5f, 9, C, 3);
    k->adapted_column_squares(squares, x, y, N, y, 0.5f, N, C, 3);
    for (int i = 0; i < C; i++)
        *take(r, 1) = (float)squares[i];
}

static void run_losses(const Kernels *k, Results *r, const float *x, const float *y)
{
    const int32_t goal[4] = { 2, -100, 0, 44 };
    double losses[4];
    RowLoss wide[4];
    int64_t count;
    losses[0] = k->cross_entropy(take(r, 4 * C), x, goal, 4, C, 0, &count);
    losses[1] = k->mean_square(take(r, 9), x, y, 9);
    losses[2] = k->binary_cross_entropy(take(r, 4 * C), x, y, 4, C);
    losses[3] = (double)count;
    k->wide_cross_entropy(take_filled(r, x, 4 * C), wide, goal, 4, C, 0, true);
    for (int i = 0; i < 4; i++)
        *take(r, 1) = (float)losses[i];
    for (int i = 0; i < 4; i++)
        *take(r, 1) = (float)wide[i].loss;
    *take(r, 1) = (float)k->cross_entropy(take(r, 4 * C), x, goal, 4, C, 0.1, &count);
    k->wide_cross_entropy(take_filled(r, x, 4 * C), wide, goal, 4, C, 0.1, true);
    for (int i = 0; i < 4; i++)
        *take(r, 1) = (float)wide[i].loss;
}

/* Of the bits that some numbers happen to have. */
static void run_unpacking(const Kernels *k, Results *r)
{
    enum { COUNT = 150, BEGIN = 33 };
    float *y = numbers_new(COUNT, 7);
    uint16_t halves[COUNT];
    uint8_t bytes[COUNT];
    for (int i = 0; i < COUNT; i++) {
        uint32_t bits;
        memcpy(&bits, &y[i], sizeof bits);
        halves[i] = (uint16_t)(bits >> 16);
        bytes[i] = (uint8_t)(bits >> 12);
    }
    k->unpack_bf16(take(r, COUNT), halves, COUNT);
    k->unpack_int8(take(r, COUNT), (const int8_t *)bytes, y[0], COUNT);
    k->unpack_nf4(take(r, COUNT), bytes, y, BEGIN, COUNT - BEGIN);
    free(y);
}

static void run_kernels(const Kernels *k, Results *results)
{
    float *x = numbers_new(N * W, 4), *y = numbers_new(N * W, 5);
    RngKey keys[B];
    for (uint32_t b = 0; b < B; b++)
        keys[b] = rng_key(6, 0, b, 1);
    const Dropout dropout = { 0.2f, keys };
    for (int64_t i = 0; i < N * W; i++)
        x[i] *= 4; /* to where activations bend */
    results->count = 0;
    run_rows(k, results, x, y, dropout);
    run_activations(k, results, x, y);
    run_embeddings(k, results, x, y);
    run_attention(k, results, x, y, dropout);
    run_magnitudes(k, results, x, y);
    run_losses(k, results, x, y);
    free(x);
    free(y);
}

/* Unpacked numbers are exact: there is one right answer for all levels, and no more to be known by. */
static bool unpacking_is_right(const Kernels *k)
{
    Results *results = xcalloc(2, sizeof *results), *lowest = results + 1;
    run_unpacking(k, results);
    run_unpacking(levels[level_count - 1].kernels, lowest);
    const bool right =
        digest_fast(results->at, sizeof results->at) == digest_fast(lowest->at, sizeof lowest->at); /* to the bit */
    free(results);
    return right;
}

bool fingerprint_kernels(uint64_t *digest, const Level *level, char *wrong, size_t room)
{
    Results *results = xmalloc(2 * sizeof *results), *lowest = results + 1;
    run_kernels(level->kernels, results);
    run_kernels(levels[level_count - 1].kernels, lowest);
    REQUIRE(results->count == lowest->count);
    bool right = true;
    for (int64_t i = 0; right && i < results->count; i++) {
        const double got = (double)results->at[i], expected = (double)lowest->at[i];
        right = fabs(got - expected) <= 1e-4 * (1 + fabs(expected));
        if (!right)
            snprintf(wrong, room, "number %lld of the kernels' is %g, not %g", (long long)i, got, expected);
    }
    if (right && !unpacking_is_right(level->kernels)) {
        snprintf(wrong, room, "packed weights are not unpacked to what they stand for");
        right = false;
    }
    *digest = digest_fast_more(*digest, results->at, (size_t)results->count * sizeof *results->at);
    free(results);
    return right;
}

/* ---- maths ----------------------------------------------------------------------------------- */

uint64_t fingerprint_maths(uint64_t digest)
{
    double results[6 * 32];
    for (int i = 0; i < 32; i++) {
        volatile double x = 0.37 * (i + 1); /* not for the compiler to know */
        const double values[6] = { maths_exp(-x), maths_log(x),   maths_sin(x),
                                   maths_cos(x),  maths_log1p(x), maths_pow(1e4, -x / 12) };
        for (int f = 0; f < 6; f++)
            results[6 * i + f] = values[f];
    }
    return digest_fast_more(digest, results, sizeof results);
}
