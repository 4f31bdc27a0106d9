/* Gemma 3 without its images: Gemma 2 with norms of the heads of q and k, a window in all layers but every sixth, and
 * frequencies of their own where there is one. Its caps are for logits alone: none of scores is read.
 * Source of names and defaults: Transformers 5.23, models/gemma3. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/rope.h"

#include <math.h>

/* clang-format off */
static const char *const keys[] = {
    "attention_bias", "attention_dropout", "attn_logit_softcapping", "bos_token_id", "classifier_dropout",
    "eos_token_id", "final_logit_softcapping", "head_dim", "hidden_activation", "hidden_size", "initializer_range",
    "intermediate_size", "layer_types", "max_position_embeddings", "num_attention_heads", "num_hidden_layers",
    "num_key_value_heads", "pad_token_id", "query_pre_attn_scalar", "rms_norm_eps", "rope_local_base_freq",
    "rope_parameters", "rope_scaling", "rope_theta", "sliding_window", "sliding_window_pattern",
    "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const Family gemma3_text = {
    .model_type = "gemma3_text",
    .title = "Gemma 3",
    .prefix = "model.",
    .default_targets = llama_targets,
    .idle = llama_idle,
    .heads = llama_heads,
    .task_class = { [TASK_SEQ_CLS] = "Gemma3TextForSequenceClassification",
                    [TASK_CAUSAL_LM] = "Gemma3ForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "Gemma3TextModel" },
};

static const LlamaDefaults defaults = {
    .F = 9216,
    .K = 4,
    .D = 256,
    .V = 262208,
    .positions = 131072,
    .pad = 0,
    .bos = 2,
    .eos = 1,
    .C = 2304,
    .H = 8,
    .layers = 26,
    .act_key = "hidden_activation",
    .act = "gelu_pytorch_tanh",
    .eps = 1e-6,
    .tied = true,
};

static bool slides(const ModelArch *arch, int64_t layer)
{
    const json_t *pattern = json_object_get(arch->config, "sliding_window_pattern");
    const int64_t every = json_is_integer(pattern) ? json_integer_value(pattern) : 6;
    return every > 0 && (layer + 1) % every != 0;
}

static bool read(ModelArch *arch, Err *err)
{
    bool both_ways;
    double scalar;
    if (!arch_layers(arch, "num_hidden_layers", defaults.layers, err))
        return false;
    arch->rope_sets = xcalloc((size_t)arch->layers, sizeof *arch->rope_sets);
    rope_read_kinds(arch, (RopeOfLayers){ "rope_theta", 1e6, true },
                    (RopeOfLayers){ "rope_local_base_freq", 10000, false });
    if (!llama_read(arch, &defaults, err) || !llama_read_windows(arch, 4096, slides, err) ||
        !arch_factor(arch, "query_pre_attn_scalar", 256, &scalar, err) ||
        !arch_cap(arch, "final_logit_softcapping", 0, &arch->logit_cap, err) ||
        !arch_flag(arch, "use_bidirectional_attention", false, &both_ways, err))
        return false;
    for (int64_t l = 0; l < arch->layers; l++) {
        arch->rope_sets[l] = arch->windows[l] > 0 ? 1 : 0;
        arch->scales[l] = 1 / sqrt(scalar);
    }
    arch->gain_from_one = true;
    arch->embed_scale = sqrt((double)arch->C);
    return !both_ways || err_set(err, ERR_INPUT, "a gemma3_text with 'use_bidirectional_attention' is not supported");
}

static void list(ModelArch *arch)
{
    const bool bias = arch_says(arch, "attention_bias", false);
    llama_list(arch, &(LlamaLayer){
                         .qkv_bias = bias, .out_bias = bias, .head_norms = HEAD_NORMS_EACH, .norms = LLAMA_AROUND });
}

const FamilyReader gemma3_text_reader = { &gemma3_text, keys, read, list };
