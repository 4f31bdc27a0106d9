/* precision_bench - a step over a base of fp32, bf16, int8 and nf4, and with gradient checkpointing, in turns.
 *
 *   precision_bench [--rounds=N] [--threads=N] [--tokens=N] [--length=T] [--only=WORD]
 *
 * Random weights in the shapes of known models, written as a model folder and loaded as a run does. For each variant:
 * the median of tokens per second and of its ratio to fp32 in the same round, the base's and the activations' memory,
 * and the cosine of its gradient with fp32's. */
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/model/stored.h"
#include "worker/kernels/gemm.h"
#include "worker/model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *config;
    bool all; /* every linear is adapted, else query and value */
    TaskType task;
} shapes[] = {
    { "BERT-base",
      "{\"model_type\": \"bert\", \"hidden_size\": 768, \"num_hidden_layers\": 12, \"num_attention_heads\": 12, "
      "\"intermediate_size\": 3072, \"vocab_size\": 2000, \"max_position_embeddings\": 4096, \"hidden_act\": \"gelu\", "
      "\"hidden_dropout_prob\": 0, \"attention_probs_dropout_prob\": 0}",
      false, TASK_SEQ_CLS },
    { "MiniLM",
      "{\"model_type\": \"bert\", \"hidden_size\": 384, \"num_hidden_layers\": 6, \"num_attention_heads\": 12, "
      "\"intermediate_size\": 1536, \"vocab_size\": 2000, \"max_position_embeddings\": 4096, \"hidden_act\": \"gelu\", "
      "\"hidden_dropout_prob\": 0, \"attention_probs_dropout_prob\": 0}",
      false, TASK_SEQ_CLS },
    { "Llama-4-layers", /* of the 22 of TinyLlama 1.1B, and a small vocabulary */
      "{\"model_type\": \"llama\", \"hidden_size\": 2048, \"num_hidden_layers\": 4, \"num_attention_heads\": 32, "
      "\"num_key_value_heads\": 4, \"intermediate_size\": 5632, \"vocab_size\": 2000, \"max_position_embeddings\": 4096, "
      "\"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": false}",
      true, TASK_CAUSAL_LM },
};

static const struct {
    const char *name;
    Precision precision;
    bool checkpointing;
} variants[] = {
    { "fp32", PRECISION_FP32, false },
    { "bf16", PRECISION_BF16, false },
    { "int8", PRECISION_INT8, false },
    { "nf4", PRECISION_NF4, false },
    { "fp32, checkpointing", PRECISION_FP32, true },
};
enum { VARIANTS = sizeof variants / sizeof *variants, MOST_ROUNDS = 64 };

typedef struct Settings {
    int64_t rounds, threads, tokens, length;
    const char *only;
} Settings;

static void stop(const Err *err)
{
    err_print(err, stderr);
    exit(err_exit_code(err));
}

/* All tensors have the same random numbers, norms are 1. */
static void write_files(const ModelArch *arch, const char *folder)
{
    Err err = { 0 };
    int64_t most = 0, count = 0;
    for (int i = 0; i < arch->module_count; i++)
        most = stored_count(&arch->modules[i]) > most ? stored_count(&arch->modules[i]) : most;
    float *numbers = xcalloc((size_t)most, sizeof *numbers), *ones = xcalloc(8192, sizeof *ones);
    TensorOut *out = xcalloc(2 * (size_t)arch->module_count, sizeof *out);
    rng_normal(numbers, most, 0.02f, rng_key(7, 0, 0, 0));
    for (int i = 0; i < 8192; i++)
        ones[i] = 1;
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        for (int bias = 0; bias < (m->bias ? 2 : 1) && !m->is_new; bias++) {
            TensorOut *t = &out[count++];
            t->name = stored_name(arch, m, bias, 0);
            t->dims = stored_shape(arch, m, bias, t->dim);
            t->data = m->kind == MODULE_NORM && !bias ? ones : numbers;
        }
    }
    char *path = path_join(folder, "model.safetensors");
    if (!safetensors_write(path, out, count, &err))
        stop(&err);
    for (int64_t i = 0; i < count; i++)
        free((char *)(uintptr_t)out[i].name);
    free(path), free(out), free(numbers), free(ones);
}

typedef struct Variant {
    Weights weights;
    Model *model;
    int64_t bytes;
    float *grad;
    double seconds[MOST_ROUNDS];
} Variant;

typedef struct Subject {
    ModelArch *arch;
    SlotTable *table;
    float *values;
    Batch batch;
    Variant variants[VARIANTS];
} Subject;

static void open_variant(Subject *s, int v, const SafeTensors *files, const Settings *settings)
{
    Err err = { 0 };
    Variant *variant = &s->variants[v];
    const ModelOptions o = { .most_tokens = s->batch.N,
                             .most_sequences = s->batch.B,
                             .longest = settings->length,
                             .training = true,
                             .checkpointing = variants[v].checkpointing,
                             .threads = (int)settings->threads };
    if (!weights_plan_beside(&variant->weights, s->table, NULL, files, variants[v].precision, &err))
        stop(&err);
    variant->weights.data = mem_alloc((size_t)variant->weights.bytes, &err);
    variant->bytes = model_bytes(s->arch, s->table, &variant->weights, &o);
    variant->grad = xcalloc((size_t)s->table->size, sizeof(float));
    if (!variant->weights.data || !weights_load(&variant->weights, files, 0, 1, &err) ||
        !(variant->model = model_open(s->arch, s->table, &variant->weights, &o, &err)))
        stop(&err);
}

static void make_batch(Subject *s, const Settings *settings, bool speaks)
{
    const int64_t B = settings->tokens / settings->length, T = settings->length, N = B * T;
    int64_t *start = xcalloc((size_t)B + 1, sizeof *start), *example = xcalloc((size_t)B, sizeof *example);
    int32_t *ids = xcalloc((size_t)N, sizeof *ids), *goals = xcalloc((size_t)N, sizeof *goals);
    float *goal = xcalloc((size_t)B, sizeof *goal);
    for (int64_t n = 0; n < N; n++)
        ids[n] = (int32_t)(1 + rng_bits(rng_key(4, 0, 0, 0), (uint32_t)n) % 1999), goals[n] = ids[n];
    for (int64_t b = 0; b < B; b++)
        example[b] = b, goal[b] = (float)(b % 2), start[b + 1] = (b + 1) * T;
    s->batch = (Batch){ .B = B, .N = N, .start = start, .ids = ids, .example = example };
    s->batch.goal = speaks ? NULL : goal;
    s->batch.token_goal = speaks ? goals : NULL;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, by_size);
    return n % 2 ? x[n / 2] : (x[n / 2] + x[n / 2 - 1]) / 2;
}

static double cosine(const float *a, const float *b, int64_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++)
        ab += (double)a[i] * (double)b[i], aa += (double)a[i] * (double)a[i], bb += (double)b[i] * (double)b[i];
    return ab / sqrt(aa * bb);
}

static void report(Subject *s, int v, const Settings *settings)
{
    Variant *variant = &s->variants[v];
    double ratio[MOST_ROUNDS], speed[MOST_ROUNDS];
    for (int64_t r = 0; r < settings->rounds; r++) {
        ratio[r] = s->variants[0].seconds[r] / variant->seconds[r];
        speed[r] = (double)s->batch.N / variant->seconds[r];
    }
    printf("  %-20s %8.0f tokens/s  %6.1f%% of fp32  base %6.0f MB  besides %6.0f MB  cosine %.5f\n", variants[v].name,
           median(speed, settings->rounds), 100 * median(ratio, settings->rounds),
           (double)variant->weights.bytes * 1e-6, (double)variant->bytes * 1e-6,
           cosine(s->variants[0].grad, variant->grad, s->table->size));
}

static void open_subject(Subject *s, int shape, const char *folder, const Settings *settings)
{
    Err err = { 0 };
    const StringList labels = { 0 };
    char *path = path_join(folder, "config.json");
    const LoraConfig lora = { .r = 8, .alpha = 16, .all_linear = shapes[shape].all };
    if (!file_write(path, shapes[shape].config, strlen(shapes[shape].config), &err) ||
        !(s->arch = arch_open(folder, NULL, shapes[shape].task, &labels, shapes[shape].all ? 0 : 2,
                              PROBLEM_SINGLE_LABEL, &err)) ||
        !(s->table = slots_open(s->arch, &lora, &err)))
        stop(&err);
    write_files(s->arch, folder);
    make_batch(s, settings, s->arch->head.task->speaks);
    s->values = xcalloc((size_t)s->table->size, sizeof *s->values);
    rng_normal(s->values, s->table->size, 0.02f, rng_key(9, 0, 0, 0));
    SafeTensors *files = safetensors_open_model(folder, &err);
    if (!files)
        stop(&err);
    for (int v = 0; v < VARIANTS; v++)
        open_variant(s, v, files, settings);
    safetensors_close(files);
    free(path);
}

static void close_subject(Subject *s)
{
    for (int v = 0; v < VARIANTS; v++) {
        model_close(s->variants[v].model);
        free(s->variants[v].weights.data);
        weights_release(&s->variants[v].weights);
        free(s->variants[v].grad);
    }
    slots_close(s->table);
    arch_close(s->arch);
    free(s->values);
}

static void run(int shape, const Settings *settings)
{
    const char *place = getenv("TMPDIR");
    char *folder = xprintf("%s/precision_bench.XXXXXX", place ? place : "/tmp");
    Err err = { 0 };
    Subject s = { 0 };
    if (!mkdtemp(folder))
        stop((err_errno(&err, "no temporary folder"), &err));
    open_subject(&s, shape, folder, settings);
    if (!folder_remove(folder, &err))
        stop(&err);
    for (int64_t r = -1; r < settings->rounds; r++) /* the first touches memory for the first time */
        for (int v = 0; v < VARIANTS; v++) {
            const double begin = clock_now();
            model_train(s.variants[v].model, &s.batch, s.values, s.variants[v].grad, 0);
            if (r >= 0)
                s.variants[v].seconds[r] = clock_now() - begin;
        }
    printf("%s, %ld x %ld tokens\n", shapes[shape].name, (long)s.batch.B, (long)settings->length);
    for (int v = 0; v < VARIANTS; v++)
        report(&s, v, settings);
    fflush(stdout);
    close_subject(&s);
    free(folder);
}

int main(int argc, char **argv)
{
    Settings s = { .rounds = 9, .threads = 1, .tokens = 1024, .length = 128, .only = "" };
    const struct {
        const char *name;
        int64_t *value;
    } options[] = {
        { "--rounds=", &s.rounds }, { "--threads=", &s.threads }, { "--tokens=", &s.tokens }, { "--length=", &s.length }
    };
    for (int i = 1; i < argc; i++) {
        bool known = strncmp(argv[i], "--only=", 7) == 0;
        if (known)
            s.only = argv[i] + 7;
        for (size_t k = 0; k < LENGTH(options); k++)
            if (strncmp(argv[i], options[k].name, strlen(options[k].name)) == 0) {
                *options[k].value = atol(argv[i] + strlen(options[k].name));
                known = true;
            }
        if (!known || s.rounds < 1 || s.rounds > MOST_ROUNDS || s.length < 1 || s.tokens < s.length)
            return fprintf(stderr,
                           "precision_bench [--rounds=N] [--threads=N] [--tokens=N] [--length=T] [--only=WORD]\n"),
                   2;
    }
    gemm_set_threads((int)s.threads);
    for (size_t i = 0; i < LENGTH(shapes); i++)
        if (strstr(shapes[i].name, s.only))
            run((int)i, &s);
    return 0;
}
