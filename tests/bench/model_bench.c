/* model_bench - how near the whole step comes to the matrix products' own speed.
 *
 *   model_bench [--seconds=S] [--threads=N] [--only=WORD]
 *
 * Random weights in the shapes of known models; for each: tokens per second of
 * model_train, and the share of the sgemm peak (measured here, just before) that
 * the needed operations make: products that reach the loss, nothing recomputed. */
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/kernels/gemm.h"
#include "worker/model/model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Shape {
    const char *name;
    int64_t C, layers, H, F;
    int64_t T; /* mean length; lengths vary around it when `varied` */
    bool varied;
    int64_t B, micro_batches; /* examples of a step, and its pieces */
    double dropout; /* hidden and attention; LoRA's is 0 */
} Shape;

static const Shape shapes[] = {
    { "BERT-base T=128", 768, 12, 12, 3072, 128, false, 32, 1, 0.0 },
    { "BERT-base T=128, 4 pieces", 768, 12, 12, 3072, 128, false, 32, 4, 0.0 },
    { "BERT-base T=128, dropout", 768, 12, 12, 3072, 128, false, 32, 4, 0.1 },
    { "MiniLM T~13, dropout", 384, 6, 12, 1536, 13, true, 32, 1, 0.1 },
    { "MiniLM T~290, dropout", 384, 6, 12, 1536, 290, true, 32, 3, 0.1 },
};

enum { LORA_R = 8, VOCABULARY = 2000, MOST_T = 512 };

/* What is adapted, and how. */
typedef struct Method {
    bool dora, all; /* every linear, instead of query and value */
} Method;

static void stop(const Err *err)
{
    err_print(err, stderr);
    exit(err_exit_code(err));
}

static double gemm_speed(int64_t N, int64_t O, int64_t I)
{
    float *x = calloc((size_t)(N * I), sizeof *x), *w = calloc((size_t)(O * I), sizeof *w);
    float *y = calloc((size_t)(N * O), sizeof *y);
    rng_uniform_fill(x, N * I, 1.0f, rng_key(1, 0, 0, 0));
    rng_uniform_fill(w, O * I, 1.0f, rng_key(2, 0, 0, 0));
    double best = 0;
    for (int i = 0; i < 6; i++) {
        const double begin = clock_now();
        gemm_nt(y, O, x, I, w, I, N, O, I, 1, 0);
        const double speed = 2.0 * (double)N * (double)O * (double)I / (clock_now() - begin);
        best = speed > best ? speed : best;
    }
    free(x);
    free(w);
    free(y);
    return best;
}

static double gemm_peak(void)
{
    const double square = gemm_speed(2048, 2048, 2048), long_rows = gemm_speed(4096, 3072, 768);
    return square > long_rows ? square : long_rows;
}

static ModelArch *make_arch(const Shape *shape)
{
    char folder[] = "/tmp/model_bench.XXXXXX";
    Err err = { 0 };
    if (!mkdtemp(folder))
        stop((err_errno(&err, "no temporary folder"), &err));
    char *path = path_join(folder, "config.json");
    char *text = xprintf("{\"model_type\": \"bert\", \"hidden_size\": %ld, \"num_hidden_layers\": %ld,"
                         "\"num_attention_heads\": %ld, \"intermediate_size\": %ld,"
                         "\"vocab_size\": %d, \"max_position_embeddings\": %d,"
                         "\"type_vocab_size\": 2, \"hidden_act\": \"gelu\","
                         "\"hidden_dropout_prob\": %g, \"attention_probs_dropout_prob\": %g,"
                         "\"layer_norm_eps\": 1e-12, \"initializer_range\": 0.02,"
                         "\"pad_token_id\": 0}",
                         (long)shape->C, (long)shape->layers, (long)shape->H, (long)shape->F, (int)VOCABULARY,
                         (int)MOST_T, shape->dropout, shape->dropout);
    const StringList labels = { 0 };
    ModelArch *arch = NULL;
    if (file_write(path, text, strlen(text), &err))
        arch = arch_open(folder, NULL, TASK_SEQ_CLS, &labels, 2, PROBLEM_SINGLE_LABEL, &err);
    if (!folder_remove(folder, &err) || !arch)
        stop(&err);
    free(text);
    free(path);
    return arch;
}

/* The layout that weights.h promises, with random numbers instead of files. */
static Weights random_weights(const ModelArch *arch)
{
    Weights weights = { .arch = arch };
    weights.modules = xcalloc((size_t)arch->module_count, sizeof *weights.modules);
    for (int pass = 0; pass < 2; pass++) { /* all weights, then all biases */
        for (int i = 0; i < arch->module_count; i++) {
            const Module *m = &arch->modules[i];
            int64_t *at = pass == 0 ? &weights.modules[i].weight : &weights.modules[i].bias;
            *at = weights.bytes;
            weights.bytes += (pass == 0 && m->kind != MODULE_NORM ? m->out * m->in : m->out) * (int64_t)sizeof(float);
        }
    }
    float *data = xcalloc(1, (size_t)weights.bytes);
    weights.data = data;
    rng_normal(data, weights.bytes / (int64_t)sizeof *data, 0.02f, rng_key(7, 0, 0, 0));
    for (int i = 0; i < arch->module_count; i++)
        if (arch->modules[i].kind == MODULE_NORM)
            for (int64_t c = 0; c < arch->modules[i].out; c++)
                data[weights.modules[i].weight / (int64_t)sizeof *data + c] += 1.0f;
    return weights;
}

static SlotTable *make_slots(const ModelArch *arch, const Method *method)
{
    char query[] = "query", value[] = "value", *targets[] = { query, value };
    const LoraConfig lora = { .r = LORA_R,
                              .alpha = 2 * LORA_R,
                              .use_dora = method->dora,
                              .all_linear = method->all,
                              .target_modules = { .items = targets, .count = method->all ? 0 : 2 } };
    Err err = { 0 };
    SlotTable *table = slots_open(arch, &lora, &err);
    if (!table)
        stop(&err);
    return table;
}

/* Examples of a micro-batch, one behind the other. */
typedef struct Piece {
    Batch batch;
    int64_t *start, *example;
    int32_t *ids;
    float *goal;
} Piece;

static int64_t length_of(const Shape *shape, int64_t example)
{
    if (!shape->varied)
        return shape->T;
    const double spread = 0.5 + (double)rng_uniform(rng_key(3, 0, 0, 0), (uint32_t)example);
    const int64_t length = (int64_t)(spread * (double)shape->T);
    return length < MOST_T ? length : MOST_T;
}

static Piece make_piece(const Shape *shape, int64_t first, int64_t B)
{
    Piece p = { 0 };
    p.start = xcalloc((size_t)B + 1, sizeof *p.start);
    p.example = xcalloc((size_t)B, sizeof *p.example);
    p.goal = xcalloc((size_t)B, sizeof *p.goal);
    for (int64_t b = 0; b < B; b++) {
        p.example[b] = first + b;
        p.goal[b] = (float)(b % 2);
        p.start[b + 1] = p.start[b] + length_of(shape, first + b);
    }
    const int64_t N = p.start[B];
    p.ids = xcalloc((size_t)N, sizeof *p.ids);
    for (int64_t n = 0; n < N; n++)
        p.ids[n] = (int32_t)(1 + rng_bits(rng_key(4, 0, first, 0), (uint32_t)n) % (VOCABULARY - 1));
    p.batch = (Batch){ .B = B, .N = N, .start = p.start, .ids = p.ids, .example = p.example, .goal = p.goal };
    return p;
}

static void free_piece(Piece *p)
{
    free(p->start);
    free(p->example);
    free(p->ids);
    free(p->goal);
}

/* Operations that the loss and its gradient need, query and value adapted: in each
 * product 2 an element; backward of the frozen ones is dx alone. */
static double needed_flops(const Shape *s, const Batch *batch)
{
    const double N = (double)batch->N, B = (double)batch->B;
    const double C = (double)s->C, F = (double)s->F, R = LORA_R;
    double squares = 0;
    for (int64_t b = 0; b < batch->B; b++) {
        const double T = (double)(batch->start[b + 1] - batch->start[b]);
        squares += T * T;
    }
    const double behind = 2 * (C * C + 2 * C * F); /* attn.output and FFN, a row */
    const double lora = 2 * 2 * 2 * C * R; /* x A^T and (..) B^T, q and v, a row */
    const double block = N * (6 * C * C + behind + lora) + 4 * squares * C;
    const double block_back = N * (6 * C * C + behind + 2 * lora) + 8 * squares * C;
    const double first_saves = N * (6 * C * C + lora / 2) + 2 * squares * C; /* no dx, no dk */
    const double tail = N * (4 * C * C + lora / 2) + B * (2 * C * C + behind + lora / 2) + 4 * N * C;
    const double tail_back = N * (4 * C * C + lora) + B * (2 * C * C + behind + lora) + 8 * N * C;
    const double middle = (double)(s->layers - 1);
    return middle * (block + block_back) - first_saves + tail + tail_back + B * 8 * C * C;
}

static ModelOptions options_for(const Piece *pieces, int64_t count, int threads)
{
    ModelOptions o = { .longest = MOST_T, .training = true, .threads = threads, .seed = 1 };
    for (int64_t i = 0; i < count; i++) {
        const Batch *b = &pieces[i].batch;
        o.most_tokens = b->N > o.most_tokens ? b->N : o.most_tokens;
        o.most_sequences = b->B > o.most_sequences ? b->B : o.most_sequences;
    }
    return o;
}

static void run(const Shape *shape, const Method *method, double peak, double seconds, int threads)
{
    ModelArch *arch = make_arch(shape);
    SlotTable *table = make_slots(arch, method);
    Weights weights = random_weights(arch);
    Piece pieces[16];
    const int64_t count = shape->micro_batches, B = shape->B / count;
    for (int64_t i = 0; i < count; i++)
        pieces[i] = make_piece(shape, i * B, i + 1 < count ? B : shape->B - i * B);
    const ModelOptions options = options_for(pieces, count, threads);
    Err err = { 0 };
    Model *model = model_open(arch, table, &weights, &options, &err);
    if (!model)
        stop(&err);
    float *values = xcalloc((size_t)table->size, sizeof(float));
    float *grad = xcalloc((size_t)table->size, sizeof(float));
    rng_normal(values, table->size, 0.02f, rng_key(9, 0, 0, 0));

    double tokens = 0, flops = 0, spent = 0, loss = 0;
    for (int64_t step = 0; step < 2 || spent < seconds; step++) {
        for (int i = 0; i < table->count; i++) /* a new version, for what is made once for each */
            values[table->slots[i].offset] *= 1.0001f;
        const double begin = clock_now();
        for (int64_t i = 0; i < count; i++)
            loss += model_train(model, &pieces[i].batch, values, grad, step).sum;
        if (step == 0) /* touches its memory for the first time */
            continue;
        spent += clock_now() - begin;
        for (int64_t i = 0; i < count; i++) {
            tokens += (double)pieces[i].batch.N;
            flops += needed_flops(shape, &pieces[i].batch);
        }
    }
    printf("%-28s %9.0f tokens/s  %6.1f GFLOP/s  %5.1f%% of sgemm  %6.0f MB  loss sum %.4g\n", shape->name,
           tokens / spent, flops / spent * 1e-9, 100 * flops / spent / peak,
           (double)model_bytes(arch, table, &weights, &options) * 1e-6, loss);
    for (int64_t i = 0; i < count; i++)
        free_piece(&pieces[i]);
    model_close(model);
    free(values);
    free(grad);
    free(weights.data);
    free(weights.modules);
    slots_close(table);
    arch_close(arch);
}

int main(int argc, char **argv)
{
    double seconds = 10;
    int threads = 1;
    const char *only = "";
    Method method = { 0 };
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seconds=", 10) == 0)
            seconds = atof(argv[i] + 10);
        else if (strncmp(argv[i], "--threads=", 10) == 0)
            threads = atoi(argv[i] + 10);
        else if (strncmp(argv[i], "--only=", 7) == 0)
            only = argv[i] + 7;
        else if (strcmp(argv[i], "--dora") == 0)
            method.dora = true;
        else if (strcmp(argv[i], "--all-linear") == 0)
            method.all = true;
        else
            return fprintf(stderr, "model_bench [--seconds=S] [--threads=N] [--only=WORD] [--dora] [--all-linear]\n"),
                   2;
    }
    gemm_set_threads(threads);
    const double peak = gemm_peak();
    printf("sgemm peak %.1f GFLOP/s, %d thread%s\n", peak * 1e-9, threads, threads > 1 ? "s" : "");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strstr(shapes[i].name, only))
            run(&shapes[i], &method, peak, seconds, threads);
    return 0;
}
