/* kernels_bench - the speed of every kernel of a transformer block beside the
 * matrix product, at the shapes of BERT-base and MiniLM, one thread. The last
 * column is what matters: a kernel's time as a share of the matrix products of
 * one layer, forward and input gradients, for as many tokens. `windows`: attention to a band. `halves`: products with a
 * base in bf16, in each way that the CPU has, beside those of floats.
 *
 * Usage: taskset -c 0 kernels_bench [windows|halves|BERT-base|MiniLM] */
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/model/arch.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/levels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Shape {
    const char *name;
    int64_t B, T, C, H, F;
} Shape;

static const Shape shapes[] = {
    { "BERT-base", 32, 13, 768, 12, 3072 }, { "BERT-base", 8, 128, 768, 12, 3072 },
    { "BERT-base", 2, 512, 768, 12, 3072 }, { "MiniLM", 32, 13, 384, 12, 1536 },
    { "MiniLM", 8, 128, 384, 12, 1536 },    { "MiniLM", 2, 512, 384, 12, 1536 },
};

/* The buffers of one shape; every kernel finds its arguments here. */
typedef struct Bench {
    const Shape *shape;
    Rows rows;
    Dropout dropout, none;
    AttentionShape attention;
    float *x, *y, *z, *w, *bias, *gain, *inv, *lse, *out, *pre;
    float *a; /* [8,C] or [C,8]: one side of a LoRA pair */
    void *scratch;
} Bench;

static void gemm_layer(Bench *b)
{
    const int64_t N = b->rows.N, C = b->shape->C, F = b->shape->F;
    gemm_nt(b->y, 3 * C, b->x, C, b->w, C, N, 3 * C, C, 1.0f, 0.0f);
    gemm_nt(b->y, C, b->x, C, b->w, C, N, C, C, 1.0f, 0.0f);
    gemm_nt(b->y, F, b->x, C, b->w, C, N, F, C, 1.0f, 0.0f);
    gemm_nt(b->y, C, b->x, F, b->w, F, N, C, F, 1.0f, 0.0f);
    gemm_nn(b->y, C, b->x, 3 * C, b->w, C, N, C, 3 * C, 1.0f, 0.0f);
    gemm_nn(b->y, C, b->x, C, b->w, C, N, C, C, 1.0f, 0.0f);
    gemm_nn(b->y, C, b->x, F, b->w, C, N, C, F, 1.0f, 0.0f);
    gemm_nn(b->y, F, b->x, C, b->w, F, N, F, C, 1.0f, 0.0f);
}

static void gemm_one(Bench *b)
{
    const int64_t C = b->shape->C;
    gemm_nt(b->y, C, b->x, C, b->w, C, b->rows.N, C, C, 1.0f, 0.0f);
}

static void lora_down(Bench *b)
{
    gemm_nt(b->y, 8, b->x, b->shape->C, b->a, b->shape->C, b->rows.N, 8, b->shape->C, 1.0f, 0.0f);
}

static void lora_up(Bench *b)
{
    gemm_nt(b->y, b->shape->C, b->x, 8, b->a, 8, b->rows.N, b->shape->C, 8, 2.0f, 1.0f);
}

static void lora_grad_up(Bench *b) /* dB[O,R] = dy^T t */
{
    gemm_tn(b->y, 8, b->x, b->shape->C, b->z, 8, b->shape->C, 8, b->rows.N, 2.0f, 1.0f);
}

static void lora_grad_down(Bench *b) /* dA[R,I] = dt^T x */
{
    gemm_tn(b->y, b->shape->C, b->z, 8, b->x, b->shape->C, 8, b->shape->C, b->rows.N, 1.0f, 1.0f);
}

static void lora_grad_t(Bench *b) /* dt[N,R] = dy B */
{
    gemm_nn(b->y, 8, b->x, b->shape->C, b->a, 8, b->rows.N, 8, b->shape->C, 2.0f, 0.0f);
}

static void lora_grad_x(Bench *b) /* dx += dt A */
{
    gemm_nn(b->y, b->shape->C, b->z, 8, b->a, b->shape->C, b->rows.N, b->shape->C, 8, 1.0f, 1.0f);
}

static void gelu_forward(Bench *b)
{
    kernels->bias_act_forward(b->y, b->pre, b->x, b->bias, b->rows.N, b->shape->F, ACT_GELU);
}

static void gelu_backward(Bench *b)
{
    kernels->act_backward(b->y, b->x, b->pre, b->rows.N, b->shape->F, ACT_GELU);
}

static void norm_fused(Bench *b)
{
    const NormInput input = { b->x, b->bias, b->pre, b->dropout, NULL };
    const NormScale scale = { b->gain, b->bias, b->shape->C, 1e-12f, false };
    kernels->sum_norm_forward(b->y, b->z, b->inv, &input, &b->rows, &scale);
}

static void norm_fused_no_dropout(Bench *b)
{
    const NormInput input = { b->x, b->bias, b->pre, b->none, NULL };
    const NormScale scale = { b->gain, b->bias, b->shape->C, 1e-12f, false };
    kernels->sum_norm_forward(b->y, b->z, b->inv, &input, &b->rows, &scale);
}

static void norm_back(Bench *b)
{
    kernels->norm_backward(b->y, NULL, NULL, b->x, NULL, b->z, b->inv, b->gain, b->rows.N, b->shape->C, false);
}

static void dropout(Bench *b)
{
    kernels->dropout_apply(b->y, b->x, &b->rows, b->dropout, b->shape->C);
}

static void attention_fwd(Bench *b)
{
    kernels->attention_forward(b->out, b->lse, b->x, &b->rows, &b->attention, b->none, b->scratch);
}

static void attention_fwd_drop(Bench *b)
{
    kernels->attention_forward(b->out, b->lse, b->x, &b->rows, &b->attention, b->dropout, b->scratch);
}

static void attention_bwd(Bench *b)
{
    kernels->attention_backward(b->y, b->pre, b->lse, b->x, &b->rows, &b->attention, b->none, b->scratch);
}

static void attention_bwd_drop(Bench *b)
{
    kernels->attention_backward(b->y, b->pre, b->lse, b->x, &b->rows, &b->attention, b->dropout, b->scratch);
}

/* This thread's own seconds: what else runs on the core does not count. */
static double cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Best seconds of one call among a few tenths of a second of calls. */
static double seconds_of(void (*run)(Bench *), Bench *b)
{
    double best = 1e9, total = 0.0;
    run(b);
    for (int i = 0; i < 200 && (i < 3 || total < 0.1); i++) {
        const double start = cpu_now();
        run(b);
        const double took = cpu_now() - start;
        best = took < best ? took : best;
        total += took;
    }
    return best;
}

typedef struct Line {
    const char *name;
    void (*run)(Bench *);
    double flops_token, bytes_token; /* one of them 0 */
} Line;

static float *filled(int64_t n, uint32_t stream)
{
    float *data = xmalloc((size_t)n * sizeof *data);
    rng_normal(data, n, 0.5f, rng_key(1, 0, 0, stream));
    return data;
}

static void bench_shape(const Shape *s)
{
    int64_t start[65];
    RngKey keys[64];
    for (int64_t b = 0; b <= s->B; b++)
        start[b] = b * s->T;
    for (int64_t b = 0; b < s->B; b++)
        keys[b] = rng_key(1, 2, b, 3);
    const int64_t N = s->B * s->T, C = s->C, F = s->F, D = C / s->H;
    Bench b = { .shape = s,
                .rows = { .B = s->B, .N = N, .longest = s->T, .start = start },
                .dropout = { .p = 0.1f, .keys = keys },
                .attention = { .H = s->H, .K = s->H, .D = D, .ldqkv = 3 * C, .ldout = C, .scale = 0.125f } };
    b.x = filled(N * F, 1);
    b.y = filled(N * F, 2);
    b.z = filled(N * F, 3);
    b.pre = filled(N * F, 4);
    b.w = filled(C * F, 5);
    b.a = filled(8 * F, 6);
    b.bias = filled(F, 7);
    b.gain = filled(F, 8);
    b.inv = filled(N, 9);
    b.lse = filled(N * s->H, 10);
    b.out = filled(N * C, 11);
    b.scratch = xmalloc((size_t)kernels->attention_scratch(&b.attention, s->T, 1));

    const double c = (double)C, f = (double)F, t = (double)s->T;
    const Line lines[] = {
        { "sgemm, a layer, fwd + dx", gemm_layer, 4.0 * (4.0 * c * c + 2.0 * c * f), 0 },
        { "sgemm C x C", gemm_one, 2.0 * c * c, 0 },
        { "lora A forward, r 8", lora_down, 16.0 * c, 0 },
        { "lora B forward", lora_up, 16.0 * c, 0 },
        { "lora dt", lora_grad_t, 16.0 * c, 0 },
        { "lora dA", lora_grad_down, 16.0 * c, 0 },
        { "lora dB", lora_grad_up, 16.0 * c, 0 },
        { "lora dx", lora_grad_x, 16.0 * c, 0 },
        { "bias gelu forward", gelu_forward, 0, 12.0 * f },
        { "gelu backward", gelu_backward, 0, 12.0 * f },
        { "bias residual norm", norm_fused_no_dropout, 0, 16.0 * c },
        { "bias dropout residual norm", norm_fused, 0, 16.0 * c },
        { "norm backward", norm_back, 0, 12.0 * c },
        { "dropout", dropout, 0, 8.0 * c },
        { "attention forward", attention_fwd, 4.0 * t * c, 0 },
        { "attention forward, dropout", attention_fwd_drop, 4.0 * t * c, 0 },
        { "attention backward", attention_bwd, 10.0 * t * c, 0 },
        { "attention backward, dropout", attention_bwd_drop, 10.0 * t * c, 0 },
    };
    printf("\n%s  C=%lld H=%lld F=%lld, %lld sequences of T=%lld\n", s->name, (long long)C, (long long)s->H,
           (long long)F, (long long)s->B, (long long)s->T);
    double layer = 0.0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const double took = seconds_of(lines[i].run, &b), n = (double)N;
        layer = i == 0 ? took : layer;
        const bool counts_flops = lines[i].flops_token > 0.0;
        printf("  %-28s %9.1f us %8.1f %s %7.2f%% of the layer's products\n", lines[i].name, took * 1e6,
               (counts_flops ? lines[i].flops_token : lines[i].bytes_token) * n / took / 1e9,
               counts_flops ? "GFLOP/s" : "GB/s   ", 100.0 * took / layer);
    }
    float *buffers[] = { b.x, b.y, b.z, b.pre, b.w, b.a, b.bias, b.gain, b.inv, b.lse, b.out };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        free(buffers[i]);
    free(b.scratch);
}

/* Keys that a row sees on average, of all. */
static double area_of(int64_t window, int64_t T)
{
    double seen = 0;
    for (int64_t i = 0; i < T; i++) {
        const int64_t first = window > 0 && i >= window ? i - window + 1 : 0;
        const int64_t end = window > 0 && i + window < T ? i + window : T;
        seen += (double)(end - first);
    }
    return seen / ((double)T * (double)T);
}

/* Windows to both sides beside attention to all: what one costs, and what its area says. */
static void bench_windows(void)
{
    enum { T = 4096, H = 4, D = 64, C = H * D };
    static const int64_t windows[] = { 0, 513, 257, 65 }; /* 65: ModernBERT's, 64 keys to each side */
    const int64_t start[] = { 0, T };
    Bench b = { .rows = { .B = 1, .N = T, .longest = T, .start = start },
                .attention = { .H = H, .K = H, .D = D, .ldqkv = 3 * C, .ldout = C, .scale = 0.125f } };
    b.x = filled(3 * T * C, 1);
    b.y = filled(3 * T * C, 2);
    b.pre = filled(T * C, 4);
    b.lse = filled(T * H, 10);
    b.out = filled(T * C, 11);
    b.scratch = xmalloc((size_t)kernels->attention_scratch(&b.attention, T, 1));
    double all[2] = { 0 };
    printf("\nwindows, T=%d H=%d D=%d: of attention to all, and what the area says\n", T, H, D);
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
        b.attention.window = windows[w];
        const double took[] = { seconds_of(attention_fwd, &b), seconds_of(attention_bwd, &b) };
        const double area = area_of(windows[w], T);
        for (int back = 0; back < 2; back++) {
            all[back] = w == 0 ? took[back] : all[back];
            printf("  %5.0f keys, %-8s %9.1f us  %6.2f%%  area %6.2f%%  (%.2f of it)\n", area * T,
                   back ? "backward" : "forward", took[back] * 1e6, 100 * took[back] / all[back], 100 * area,
                   took[back] / all[back] / area);
        }
    }
    float *buffers[] = { b.x, b.y, b.pre, b.lse, b.out };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        free(buffers[i]);
    free(b.scratch);
}

/* y[N,O] = x[N,I] w[O,I]^T and dx[N,I] = y w, billions of operations a second: of floats, then of bf16. */
static void bench_halves(void)
{
    static const int64_t sizes[][3] = { { 416, 384, 384 },   { 1024, 384, 1536 }, { 1024, 768, 768 },
                                        { 1024, 3072, 768 }, { 1024, 768, 3072 }, { 512, 5632, 2048 } };
    printf("\nproducts of [N,I] with a base [O,I], forward and back, GFLOP/s\n");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t N = sizes[i][0], O = sizes[i][1], I = sizes[i][2], most = O > I ? O : I;
        float *x = filled(N * I, 1), *y = filled(N * O, 2), *w = filled(O * I, 3),
              *room = xmalloc((size_t)bf16_room(most) * sizeof *room);
        uint16_t *halves = xmalloc((size_t)(O * I) * sizeof *halves);
        printf("  N=%-5lld O=%-5lld I=%-5lld", (long long)N, (long long)O, (long long)I);
        for (int way = -1; way < level_count; way++) {
            if (way >= 0 && (!levels[way].bf16 || !levels[way].fits()))
                continue;
            const Bf16Products *products = way < 0 ? NULL : levels[way].bf16;
            double least[2] = { 1e9, 1e9 };
            if (products)
                products->round(halves, w, O * I);
            for (int round = 0; round < 15; round++)
                for (int back = 0; back < 2; back++) {
                    const double begin = cpu_now();
                    if (!products && !back)
                        gemm_nt(y, O, x, I, w, I, N, O, I, 1, 0);
                    else if (!products)
                        gemm_nn(x, I, y, O, w, I, N, I, O, 1, 0);
                    else if (!back)
                        products->nt(y, O, x, I, halves, N, O, I, 0, room);
                    else
                        products->nn(x, I, y, O, halves, N, I, O, 0, room);
                    const double took = cpu_now() - begin;
                    least[back] = took < least[back] ? took : least[back];
                }
            const double work = 2e-9 * (double)N * (double)O * (double)I;
            printf("  %s %5.0f %5.0f", way < 0 ? "floats" : levels[way].name, work / least[0], work / least[1]);
        }
        printf("\n");
        free(x), free(y), free(w), free(room), free(halves);
    }
}

int main(int argc, char **argv)
{
    gemm_set_threads(1);
    if (argc < 2 || strcmp(argv[1], "windows") == 0)
        bench_windows();
    if (argc < 2 || strcmp(argv[1], "halves") == 0)
        bench_halves();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (argc < 2 || strcmp(argv[1], shapes[i].name) == 0)
            bench_shape(&shapes[i]);
    }
    return 0;
}
