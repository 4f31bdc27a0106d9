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

#define DECODER(type, arch, ropes, turned)                                                                             \
    {                                                                                                                  \
        .model_type = (type), .name = (arch), .task = TASK_CAUSAL_LM, .rope = (ropes), .pairs = (turned),              \
        .act = ACT_SILU, .nearly = ACT_SILU, .tensors = decoder, .untie = true                                         \
    }
#define ENCODER(type)                                                                                                  \
    {                                                                                                                  \
        .model_type = (type), .name = "bert", .task = TASK_SEQ_CLS, .act = ACT_GELU, .nearly = ACT_GELU,               \
        .tensors = encoder, .exact_head = true                                                                         \
    }

/* qwen2 does not read the divisors of llama3's scaling, llama does, and has biases of q, k and v too. */
static const GgufArch archs[] = {
    DECODER("llama", "llama", "default", true),
    DECODER("llama", "llama", "linear", true),
    DECODER("llama", "llama", "llama3", true),
    DECODER("mistral", "llama", "default", true),
    DECODER("qwen2", "qwen2", "default", false),
    DECODER("qwen2", "qwen2", "linear", false),
    DECODER("qwen2", "llama", "llama3", true),
    { .model_type = "gpt2",
      .name = "gpt2",
      .task = TASK_CAUSAL_LM,
      .act = ACT_GELU_TANH,
      .nearly = ACT_GELU,
      .tensors = decoder },
    ENCODER("bert"),
    ENCODER("roberta"),
};

/* ---- what fits ------------------------------------------------------------------------- */

/* What config.json says of rope: of Transformers 4, or of 5 (common/model/rope). */
static const json_t *rope_settings(const ModelArch *arch)
{
    const json_t *scaling = json_object_get(arch->config, "rope_scaling");
    return json_object_size(scaling) > 0 ? scaling : json_object_get(arch->config, "rope_parameters");
}

static double rope_theta(const ModelArch *arch)
{
    const json_t *own = json_object_get(rope_settings(arch), "rope_theta");
    const json_t *theta = own ? own : json_object_get(arch->config, "rope_theta");
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

static bool check_biases(const GgufArch *row, const ModelArch *arch, Err *err)
{
    for (int i = 0; arch->norm == NORM_RMS && i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        if (m->bias && m->role != ROLE_Q && m->role != ROLE_K && m->role != ROLE_V)
            return refuse(err, "the bias of '%s'", m->path);
        if (!row->tensors[m->role])
            return refuse(err, "'%s'", m->path);
    }
    return true;
}

static bool check_scales(const ModelArch *arch, Err *err)
{
    for (int64_t l = 0; l < arch->layers; l++)
        if (fabs(arch->scales[l] * sqrt((double)arch->D) - 1) > 1e-6)
            return refuse(err, "an attention that is not scaled by the square root of the head's size");
    return true;
}

static bool check_row(const GgufArch *row, const SavedModel *saved, Err *err)
{
    const ModelArch *arch = saved->arch;
    if (arch->act != row->act && arch->act != row->nearly)
        return refuse(err, "the activation of this %s", row->model_type);
    if (!check_biases(row, arch, err) || !check_scales(arch, err))
        return false;
    if (row->task == TASK_CAUSAL_LM && !row->untie && (!arch->tied || saved->untied))
        return refuse(err, "a %s whose output words are not tied to the word table", row->model_type);
    if (arch->act != row->act)
        log_warn("export", "llama.cpp approximates the gelu of this model: its numbers are off in the fourth digit");
    for (int64_t l = 0; arch->windows && l < arch->layers; l++)
        if (arch->windows[l] > 0) {
            log_warn("export", "llama.cpp heeds no sliding window: beyond %lld tokens its answers are others",
                     (long long)arch->windows[l]);
            break;
        }
    if (arch->types > 1)
        log_warn("export", "llama.cpp gives all tokens the type 0: answers to pairs of texts are others");
    return true;
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
        if (!row->rope || strcmp(row->rope, rope) == 0)
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

static void put_rope(const Keys *k, const ModelArch *arch)
{
    put_real(k, "rope.freq_base", rope_theta(arch));
    put_count(k, "rope.dimension_count", arch->D);
    put_count(k, "attention.key_length", arch->D);
    put_count(k, "attention.value_length", arch->D);
    put_count(k, "attention.head_count_kv", arch->K);
    if (strcmp(rope_of(arch), "linear") == 0) {
        char *key = xprintf("%s.rope.scaling.type", k->arch);
        gguf_put_string(k->g, key, "linear");
        free(key);
        put_real(k, "rope.scaling.factor", json_number_value(json_object_get(rope_settings(arch), "factor")));
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
    if (!arch->head.task->speaks)
        put_labels(&k, &arch->head);
}

/* ---- numbers ------------------------------------------------------------------------------ */

void gguf_arch_pairs(float *x, float *room, int64_t heads, int64_t rows, int64_t columns)
{
    const int64_t D = rows / heads, half = D / 2;
    const size_t row = (size_t)columns * sizeof *x;
    for (int64_t h = 0; h < heads; h++)
        for (int64_t j = 0; j < half; j++) {
            memcpy(room + (h * D + 2 * j) * columns, x + (h * D + j) * columns, row);
            memcpy(room + (h * D + 2 * j + 1) * columns, x + (h * D + half + j) * columns, row);
        }
    memcpy(x, room, (size_t)rows * row);
}

bool gguf_arch_divides(const GgufArch *row)
{
    return row->rope && strcmp(row->rope, "llama3") == 0;
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
