/* Granite: Llama with four factors: of the words, of scores, of what sublayers add, of logits.
 * Source of names and defaults: Transformers 5.23, models/granite. */
#include "common/model/family.h"

/* clang-format off */
static const char *const keys[] = {
    "attention_bias", "attention_dropout", "attention_multiplier", "bos_token_id", "embedding_multiplier",
    "eos_token_id", "hidden_act", "hidden_size", "initializer_range", "intermediate_size", "logits_scaling",
    "max_position_embeddings", "mlp_bias", "num_attention_heads", "num_hidden_layers", "num_key_value_heads",
    "pad_token_id", "residual_multiplier", "rms_norm_eps", "rope_parameters", "rope_scaling", "rope_theta",
    "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const Family granite = {
    .model_type = "granite",
    .title = "Granite",
    .prefix = "model.",
    .target_hint = "q_proj, v_proj",
    .idle = llama_idle,
    .heads = llama_heads,
    .tokenizer_alone = true,
    .task_class = { [TASK_CAUSAL_LM] = "GraniteForCausalLM", [TASK_FEATURE_EXTRACTION] = "GraniteModel" },
};

static const LlamaDefaults defaults = {
    .F = 11008, .V = 32000, .positions = 2048, .pad = -1, .bos = 1, .eos = 2, .eps = 1e-6
};

/* A key that is not there is 1, that of scores too. */
static bool read(ModelArch *arch, Err *err)
{
    double of_scores, of_logits;
    if (!llama_read(arch, &defaults, err) || !arch_factor(arch, "embedding_multiplier", 1, &arch->embed_scale, err) ||
        !arch_factor(arch, "attention_multiplier", 1, &of_scores, err) ||
        !arch_factor(arch, "residual_multiplier", 1, &arch->residual_scale, err) ||
        !arch_factor(arch, "logits_scaling", 1, &of_logits, err))
        return false;
    for (int64_t l = 0; l < arch->layers; l++)
        arch->scales[l] = of_scores;
    arch->embed_scale_behind = true;
    arch->logit_scale = 1 / of_logits;
    return true;
}

static void list(ModelArch *arch)
{
    const bool bias = arch_says(arch, "attention_bias", false);
    llama_list(arch,
               &(LlamaLayer){ .qkv_bias = bias, .out_bias = bias, .mlp_bias = arch_says(arch, "mlp_bias", false) });
}

const FamilyReader granite_reader = { &granite, keys, read, list };
