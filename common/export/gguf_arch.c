/* DESIGN. Tensors have llama.cpp's names by their roles. It refuses a file with a tensor that it does not know, and
 * computes something else where it does not know a feature: so what a row does not say is refused.
 * Source: llama.cpp, src/llama-arch.cpp and src/models. */
#include "common/export/gguf_arch.h"

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/model/task.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const decoder[ROLE_COUNT] = {
    [ROLE_WORD] = "token_embd",
    [ROLE_POSITION] = "position_embd",
    [ROLE_FINAL_NORM] = "output_norm",
    [ROLE_HEAD] = "output",
    [ROLE_Q] = "attn_q",
    [ROLE_K] = "attn_k",
    [ROLE_V] = "attn_v",
    [ROLE_QKV] = "attn_qkv",
    [ROLE_ATTN_OUT] = "attn_output",
    [ROLE_FF_GATE] = "ffn_gate",
    [ROLE_FF_UP] = "ffn_up",
    [ROLE_FF_DOWN] = "ffn_down",
    [ROLE_ATTN_NORM] = "attn_norm",
    [ROLE_FF_NORM] = "ffn_norm",
    [ROLE_Q_NORM] = "attn_q_norm",
    [ROLE_K_NORM] = "attn_k_norm",
    [ROLE_GATE_UP] = "ffn_up",
    [ROLE_ATTN_AFTER] = "post_attention_norm",
    [ROLE_FF_AFTER] = "post_ffw_norm",
};
static const char *const encoder[ROLE_COUNT] = {
    [ROLE_WORD] = "token_embd",
    [ROLE_POSITION] = "position_embd",
    [ROLE_TYPE] = "token_types",
    [ROLE_EMBED_NORM] = "token_embd_norm",
    [ROLE_Q] = "attn_q",
    [ROLE_K] = "attn_k",
    [ROLE_V] = "attn_v",
    [ROLE_ATTN_OUT] = "attn_output",
    [ROLE_FF_UP] = "ffn_up",
    [ROLE_FF_DOWN] = "ffn_down",
    [ROLE_ATTN_NORM] = "attn_output_norm",
    [ROLE_FF_NORM] = "layer_output_norm",
    [ROLE_POOLER] = "cls",
    [ROLE_HEAD] = "cls.output",
};

static const char *const plain[] = { "default", "linear", NULL };
static const char *const stretched[] = { "default", "linear", "yarn", NULL };
static const char *const divided[] = { "llama3", NULL };
static const char *const unscaled[] = { "default", NULL };

#define DECODER .task = TASK_CAUSAL_LM, .tensors = decoder
#define SILU .act = ACT_SILU, .nearly = ACT_SILU
#define TANH .act = ACT_GELU_TANH, .nearly = ACT_GELU
#define ENCODER                                                                                                        \
    .name = "bert", .task = TASK_SEQ_CLS, .act = ACT_GELU, .nearly = ACT_GELU, .tensors = encoder,                     \
    .output = GGUF_OUTPUT_OWN, .biases = GGUF_BIAS_ALL, .exact_head = true

/* qwen2 does not read the divisors of llama3's scaling, llama does, and has biases of q, k and v too. */
static const GgufArch archs[] = {
    { .model_type = "llama",
      .name = "llama",
      .ropes = stretched,
      .pairs = true,
      .biases = GGUF_BIAS_QKV,
      SILU,
      DECODER },
    { .model_type = "llama",
      .name = "llama",
      .ropes = divided,
      .divides = true,
      .pairs = true,
      .biases = GGUF_BIAS_QKV,
      SILU,
      DECODER },
    { .model_type = "mistral", .name = "llama", .ropes = stretched, .pairs = true, SILU, DECODER },
    { .model_type = "qwen2", .name = "qwen2", .ropes = stretched, .biases = GGUF_BIAS_QKV, SILU, DECODER },
    { .model_type = "qwen2",
      .name = "llama",
      .ropes = divided,
      .divides = true,
      .pairs = true,
      .biases = GGUF_BIAS_QKV,
      SILU,
      DECODER },
    { .model_type = "qwen3", .name = "qwen3", .ropes = stretched, SILU, DECODER },
    { .model_type = "gemma",
      .name = "gemma",
      .ropes = unscaled,
      .root_words = true,
      .output = GGUF_OUTPUT_TIED,
      TANH,
      DECODER },
    { .model_type = "gemma2",
      .name = "gemma2",
      .ropes = unscaled,
      .root_words = true,
      .output = GGUF_OUTPUT_TIED,
      .caps = true,
      .window_every = 2,
      .large = 46,
      TANH,
      DECODER },
    { .model_type = "gemma3_text",
      .name = "gemma3",
      .ropes = plain,
      .root_words = true,
      .output = GGUF_OUTPUT_TIED,
      .window_every = 6,
      .large = 62,
      TANH,
      DECODER },
    { .model_type = "olmo2", .name = "olmo2", .ropes = stretched, .output = GGUF_OUTPUT_OWN, SILU, DECODER },
    { .model_type = "granite", .name = "granite", .ropes = plain, .pairs = true, .factors = true, SILU, DECODER },
    { .model_type = "phi3", .name = "phi3", .ropes = unscaled, SILU, DECODER },
    { .model_type = "stablelm",
      .name = "stablelm",
      .ropes = plain,
      .output = GGUF_OUTPUT_OWN,
      .biases = GGUF_BIAS_QKV,
      .parallel = true,
      SILU,
      DECODER },
    { .model_type = "smollm3", .name = "smollm3", .ropes = stretched, .pairs = true, .rest_every = 4, SILU, DECODER },
    { .model_type = "cohere",
      .name = "command-r",
      .ropes = plain,
      .output = GGUF_OUTPUT_TIED,
      .logit_factor = true,
      SILU,
      DECODER },
    { .model_type = "phi",
      .name = "phi2",
      .ropes = unscaled,
      .output = GGUF_OUTPUT_OWN,
      .biases = GGUF_BIAS_ALL,
      TANH,
      DECODER },
    { .model_type = "gpt_neox",
      .name = "gptneox",
      .ropes = unscaled,
      .output = GGUF_OUTPUT_OWN,
      .biases = GGUF_BIAS_ALL,
      .parallel = true,
      TANH,
      DECODER },
    { .model_type = "gpt2", .name = "gpt2", .output = GGUF_OUTPUT_TIED, .biases = GGUF_BIAS_ALL, TANH, DECODER },
    { .model_type = "bert", ENCODER },
    { .model_type = "roberta", ENCODER },
};

/* ---- what fits ------------------------------------------------------------------------- */

/* What config.json says of rope: of Transformers 4, or of 5 (common/model/rope). */
static const json_t *rope_settings(const ModelArch *arch)
{
    const json_t *scaling = json_object_get(arch->config, "rope_scaling");
    const json_t *all = json_object_size(scaling) > 0 ? scaling : json_object_get(arch->config, "rope_parameters");
    const json_t *full = json_object_get(all, "full_attention"); /* of several kinds of layers */
    return full ? full : all;
}

static double rope_theta(const ModelArch *arch)
{
    const json_t *own = json_object_get(rope_settings(arch), "rope_theta");
    const json_t *theta = own ? own : json_object_get(arch->config, "rope_theta");
    if (!theta)
        theta = json_object_get(arch->config, "rotary_emb_base"); /* GPT-NeoX's word */
    return theta ? json_number_value(theta) : 10000;
}

static const char *rope_of(const ModelArch *arch)
{
    const json_t *from = rope_settings(arch);
    const char *now = json_string_value(json_object_get(from, "rope_type"));
    const char *before = json_string_value(json_object_get(from, "type"));
    return !arch->rope ? NULL : now ? now : before ? before : "default";
}

static bool refuse(Err *err, const char *what, ...) PRINTF_LIKE(2, 3);
static bool refuse(Err *err, const char *what, ...)
{
    va_list list;
    char text[512];
    va_start(list, what);
    vsnprintf(text, sizeof text, what, list);
    va_end(list);
    err_set(err, ERR_INPUT, "%s has no GGUF form: llama.cpp would compute something else", text);
    return err_hint(err, "--format=onnx, or lora merge");
}

static bool may_have_bias(const GgufArch *row, const Module *m)
{
    const bool of_qkv = m->role == ROLE_Q || m->role == ROLE_K || m->role == ROLE_V || m->role == ROLE_QKV;
    return m->kind == MODULE_NORM || row->biases == GGUF_BIAS_ALL || (row->biases == GGUF_BIAS_QKV && of_qkv);
}

static bool check_modules(const GgufArch *row, const ModelArch *arch, Err *err)
{
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        if (m->bias && !may_have_bias(row, m))
            return refuse(err, "the bias of '%s'", m->path);
        if (!row->tensors[m->role])
            return refuse(err, "'%s'", m->path);
    }
    return true;
}

/* By the root of a number, where no key says another factor. */
static bool check_scales(const GgufArch *row, const ModelArch *arch, Err *err)
{
    const bool large = row->large > 0 && row->large == arch->layers;
    const double wanted = large ? (double)arch->C / (double)arch->H : (double)arch->D;
    for (int64_t l = 0; l < arch->layers; l++)
        if (row->factors ? arch->scales[l] != arch->scales[0] : fabs(arch->scales[l] * sqrt(wanted) - 1) > 1e-6)
            return refuse(err, "an attention that is not scaled by the root of %g", wanted);
    return true;
}

static bool is_one(double factor)
{
    return fabs(factor - 1) < 1e-9;
}

static bool check_factors(const GgufArch *row, const ModelArch *arch, Err *err)
{
    const double words = row->root_words ? sqrt((double)arch->C) : 1;
    if (!row->factors && !is_one(arch->embed_scale / words))
        return refuse(err, "a %s whose words are multiplied by %g", row->model_type, arch->embed_scale);
    if (!row->factors && !is_one(arch->residual_scale))
        return refuse(err, "a %s whose sublayers are multiplied by %g", row->model_type, arch->residual_scale);
    if (!row->factors && !row->logit_factor && !is_one(arch->logit_scale))
        return refuse(err, "a %s whose logits are multiplied by %g", row->model_type, arch->logit_scale);
    if (row->caps ? !(arch->score_cap > 0 && arch->logit_cap > 0) : arch->score_cap > 0 || arch->logit_cap > 0)
        return refuse(err, "a %s %s caps of scores and logits", row->model_type, row->caps ? "without" : "with");
    return true;
}

/* Layers with a window and layers that do not turn are where it takes them to be. */
static bool check_layers(const GgufArch *row, const ModelArch *arch, Err *err)
{
    const json_t *local = json_object_get(json_object_get(arch->config, "rope_parameters"), "sliding_attention");
    const json_t *theta = json_object_get(local, "rope_theta");
    int64_t window = 0;
    for (int64_t l = 0; arch->windows && l < arch->layers; l++)
        window = arch->windows[l] > window ? arch->windows[l] : window;
    for (int64_t l = 0; l < arch->layers; l++) {
        const bool slides = row->window_every > 0 && (l + 1) % row->window_every != 0;
        const bool rests = row->rest_every > 0 && (l + 1) % row->rest_every == 0;
        if (row->window_every > 0 && (arch->windows ? arch->windows[l] : 0) != (slides ? window : 0))
            return refuse(err, "a %s with windows in other layers than usual", row->model_type);
        if (rests != (arch->rope_sets && arch->rope_sets[l] == ROPE_STANDS))
            return refuse(err, "a %s whose layers turn otherwise than usual", row->model_type);
    }
    if (theta && json_number_value(theta) != 10000)
        return refuse(err, "a %s whose layers with windows turn by %g", row->model_type, json_number_value(theta));
    if (row->window_every == 0 && window > 0)
        log_warn("export", "llama.cpp heeds no sliding window: beyond %lld tokens its answers are others",
                 (long long)window);
    return true;
}

/* What Transformers takes where config.json says nothing, and llama.cpp always. */
static bool check_yarn(const ModelArch *arch, Err *err)
{
    static const struct {
        const char *key;
        double usual;
    } fixed[] = { { "beta_fast", 32 }, { "beta_slow", 1 } };
    static const char *const none[] = { "attention_factor", "mscale", "mscale_all_dim" };
    const json_t *from = rope_settings(arch);
    for (size_t i = 0; i < LENGTH(fixed); i++) {
        const json_t *value = json_object_get(from, fixed[i].key);
        if (value && !json_is_null(value) && json_number_value(value) != fixed[i].usual)
            return refuse(err, "yarn with a '%s' of %g", fixed[i].key, json_number_value(value));
    }
    for (size_t i = 0; i < LENGTH(none); i++)
        if (json_is_number(json_object_get(from, none[i])))
            return refuse(err, "yarn with '%s'", none[i]);
    return !json_is_false(json_object_get(from, "truncate")) || refuse(err, "yarn that is not truncated");
}

static bool check_output(const GgufArch *row, const SavedModel *saved, Err *err)
{
    const bool tied = saved->arch->tied && !saved->untied;
    if (row->output == GGUF_OUTPUT_TIED && !tied)
        return refuse(err, "a %s whose output words are not tied to the word table", row->model_type);
    return row->output != GGUF_OUTPUT_OWN || !tied ||
           refuse(err, "a %s whose output words are tied to the word table", row->model_type);
}

static bool check_row(const GgufArch *row, const SavedModel *saved, Err *err)
{
    const ModelArch *arch = saved->arch;
    const char *rope = rope_of(arch);
    if (arch->act != row->act && arch->act != row->nearly)
        return refuse(err, "the activation of this %s", row->model_type);
    if ((row->task == TASK_CAUSAL_LM && !check_modules(row, arch, err)) || !check_scales(row, arch, err) ||
        !check_factors(row, arch, err) || !check_layers(row, arch, err) || !check_output(row, saved, err) ||
        (rope && strcmp(rope, "yarn") == 0 && !check_yarn(arch, err)))
        return false;
    if (arch->act != row->act)
        log_warn("export", "llama.cpp approximates the gelu of this model: its numbers are off in the fourth digit");
    if (arch->types > 1)
        log_warn("export", "llama.cpp gives all tokens the type 0: answers to pairs of texts are others");
    return true;
}

static bool reads_rope(const GgufArch *row, const char *rope)
{
    if (!row->ropes || !rope)
        return !row->ropes && !rope;
    for (int i = 0; row->ropes[i]; i++)
        if (strcmp(row->ropes[i], rope) == 0)
            return true;
    return false;
}

const GgufArch *gguf_arch(const SavedModel *saved, Err *err)
{
    const ModelArch *arch = saved->arch;
    const char *rope = rope_of(arch);
    const GgufArch *of_task = NULL, *of_type = NULL;
    for (size_t i = 0; i < LENGTH(archs); i++) {
        const GgufArch *row = &archs[i];
        if (strcmp(row->model_type, arch->family->model_type) != 0)
            continue;
        of_type = row;
        if (row->task != arch->head.task->type)
            continue;
        of_task = row;
        if (reads_rope(row, rope))
            return check_row(row, saved, err) ? row : NULL;
    }
    if (of_task)
        refuse(err, "the rope_type '%s' of a %s", rope, arch->family->model_type);
    else if (of_type)
        refuse(err, "a %s of the task %s", arch->family->model_type, config_task_name(arch->head.task->type));
    else {
        err_set(err, ERR_INPUT, "model_type '%s' has no GGUF form here", arch->family->model_type);
        err_hint(err, "lora merge writes a folder for llama.cpp's own converter, where that knows the family");
    }
    return NULL;
}

char *gguf_arch_tensor(const GgufArch *arch, const Module *m, bool bias)
{
    const char *end = bias ? "bias" : "weight";
    return m->layer < 0 ? xprintf("%s.%s", arch->tensors[m->role], end)
                        : xprintf("blk.%d.%s.%s", m->layer, arch->tensors[m->role], end);
}

/* ---- keys -------------------------------------------------------------------------------- */

typedef struct Keys {
    Gguf *g;
    const char *arch;
} Keys;

static void put_count(const Keys *k, const char *key, int64_t value)
{
    char *whole = xprintf("%s.%s", k->arch, key);
    gguf_put_u32(k->g, whole, value);
    free(whole);
}

static void put_real(const Keys *k, const char *key, double value)
{
    char *whole = xprintf("%s.%s", k->arch, key);
    gguf_put_f32(k->g, whole, value);
    free(whole);
}

/* The length that yarn stretches: as common/model/rope reads it. */
static int64_t original_length(const ModelArch *arch, const json_t *from)
{
    static const char key[] = "original_max_position_embeddings";
    const json_t *own = json_object_get(arch->config, key), *length = own ? own : json_object_get(from, key);
    return length ? json_integer_value(length) : arch->positions;
}

static void put_rope(const Keys *k, const ModelArch *arch)
{
    const json_t *from = rope_settings(arch);
    const char *type = rope_of(arch);
    put_real(k, "rope.freq_base", rope_theta(arch));
    put_count(k, "rope.dimension_count", arch_rotated(arch));
    put_count(k, "attention.key_length", arch->D);
    put_count(k, "attention.value_length", arch->D);
    put_count(k, "attention.head_count_kv", arch->K);
    const bool yarn = strcmp(type, "yarn") == 0;
    if (!yarn && strcmp(type, "linear") != 0)
        return;
    char *key = xprintf("%s.rope.scaling.type", k->arch);
    gguf_put_string(k->g, key, type);
    free(key);
    put_real(k, "rope.scaling.factor", json_number_value(json_object_get(from, "factor")));
    if (yarn)
        put_count(k, "rope.scaling.original_context_length", original_length(arch, from));
}

/* What a row says that keys say. */
static void put_features(const Keys *k, const GgufArch *row, const ModelArch *arch)
{
    if (row->factors) {
        put_real(k, "attention.scale", arch->scales[0]);
        put_real(k, "embedding_scale", arch->embed_scale);
        put_real(k, "residual_scale", arch->residual_scale);
        put_real(k, "logit_scale", 1 / arch->logit_scale); /* it divides by it */
    }
    if (row->logit_factor)
        put_real(k, "logit_scale", arch->logit_scale);
    if (row->caps) {
        put_real(k, "attn_logit_softcapping", arch->score_cap);
        put_real(k, "final_logit_softcapping", arch->logit_cap);
    }
    if (row->window_every > 0 && arch->windows)
        put_count(k, "attention.sliding_window", arch->windows[0]);
    if (row->parallel) {
        char *key = xprintf("%s.use_parallel_residual", k->arch);
        gguf_put_bool(k->g, key, arch->side_by_side);
        free(key);
    }
}

static void put_labels(const Keys *k, const HeadArch *head)
{
    char *causal = xprintf("%s.attention.causal", k->arch), *labels = xprintf("%s.classifier.output_labels", k->arch);
    enum { POOL_CLASSIFIER = 4 };
    gguf_put_bool(k->g, causal, false);
    put_count(k, "pooling_type", POOL_CLASSIFIER);
    gguf_put_strings(k->g, labels, (const char *const *)head->label_names, head->labels);
    free(labels);
    free(causal);
}

void gguf_arch_keys(Gguf *g, const GgufArch *row, const SavedModel *saved)
{
    const ModelArch *arch = saved->arch;
    const Keys k = { g, row->name };
    put_count(&k, "context_length", arch->positions);
    put_count(&k, "embedding_length", arch->C);
    put_count(&k, "block_count", arch->layers);
    put_count(&k, "feed_forward_length", arch->F);
    put_count(&k, "attention.head_count", arch->H);
    put_count(&k, "vocab_size", arch->V);
    put_real(&k, arch->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
             arch->norm_eps);
    if (arch->rope)
        put_rope(&k, arch);
    put_features(&k, row, arch);
    if (!arch->head.task->speaks)
        put_labels(&k, &arch->head);
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* Rows of each head from two halves to pairs, of what of it turns. */
static void to_pairs(float *x, const float *from, int64_t heads, int64_t rows, int64_t columns, int64_t rotated)
{
    const int64_t D = rows / heads, half = rotated / 2;
    const size_t row = (size_t)columns * sizeof *x;
    for (int64_t h = 0; h < heads; h++)
        for (int64_t j = 0; j < half; j++) {
            memcpy(x + (h * D + 2 * j) * columns, from + (h * D + j) * columns, row);
            memcpy(x + (h * D + 2 * j + 1) * columns, from + (h * D + half + j) * columns, row);
        }
}

/* Rows by key heads, of each its heads of q, then k, then v, to all of q, all of k, all of v. */
static void to_parts(float *x, const float *from, const ModelArch *arch, int64_t columns)
{
    const int64_t D = arch->D, G = arch->H / arch->K * D; /* rows of q of a key head */
    const int64_t at[] = { 0, arch->H * D, (arch->H + arch->K) * D };
    for (int64_t k = 0; k < arch->K; k++) {
        const float *group = from + k * (G + 2 * D) * columns;
        memcpy(x + (at[0] + k * G) * columns, group, (size_t)(G * columns) * sizeof *x);
        memcpy(x + (at[1] + k * D) * columns, group + G * columns, (size_t)(D * columns) * sizeof *x);
        memcpy(x + (at[2] + k * D) * columns, group + (G + D) * columns, (size_t)(D * columns) * sizeof *x);
    }
}

void gguf_arch_turn(const GgufArch *row, const ModelArch *arch, Role role, float *x, float *room, int64_t rows,
                    int64_t columns)
{
    const int64_t heads = !row->pairs ? 0 : role == ROLE_Q ? arch->H : role == ROLE_K ? arch->K : 0;
    const bool grouped = role == ROLE_QKV && arch->qkv_grouped;
    if (heads == 0 && !grouped)
        return;
    memcpy(room, x, (size_t)(rows * columns) * sizeof *x);
    if (heads > 0)
        to_pairs(x, room, heads, rows, columns, arch_rotated(arch));
    else
        to_parts(x, room, arch, columns);
}

void gguf_arch_divisors(float *out, const ModelArch *arch)
{
    const double base = rope_theta(arch);
    double *inverse = xcalloc((size_t)(arch->D / 2), sizeof *inverse);
    arch_rope(arch, 0, arch->positions, inverse);
    for (int64_t j = 0; j < arch->D / 2; j++)
        out[j] = (float)((float)(1 / maths_pow(base, 2.0 * (double)j / (double)arch->D)) / inverse[j]);
    free(inverse);
}
