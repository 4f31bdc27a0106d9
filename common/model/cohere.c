/* Cohere (Command R, Aya): Llama's products side by side behind one norm without a bias, pairs of neighbours that
 * turn, and a factor of logits. Source of names and defaults: Transformers 5.23, models/cohere. */
#include "common/model/family.h"

/* clang-format off */
static const char *const keys[] = {
    "attention_bias", "attention_dropout", "bos_token_id", "eos_token_id", "hidden_act", "hidden_size",
    "initializer_range", "intermediate_size", "layer_norm_eps", "logit_scale", "max_position_embeddings",
    "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "pad_token_id", "rope_parameters",
    "rope_scaling", "rope_theta", "tie_word_embeddings", "use_qk_norm", "vocab_size", NULL };
/* clang-format on */

static const Family cohere = {
    .model_type = "cohere",
    .title = "Command R of Cohere",
    .prefix = "model.",
    .target_hint = "q_proj, v_proj",
    .idle = llama_idle,
    .heads = llama_heads,
    .task_class = { [TASK_CAUSAL_LM] = "CohereForCausalLM", [TASK_FEATURE_EXTRACTION] = "CohereModel" },
};

static const LlamaDefaults defaults = {
    .F = 22528,
    .V = 256000,
    .positions = 8192,
    .pad = 0,
    .bos = 5,
    .eos = 255001,
    .C = 8192,
    .H = 64,
    .layers = 40,
    .eps_key = "layer_norm_eps",
    .eps = 1e-5,
    .tied = true,
};

static bool read(ModelArch *arch, Err *err)
{
    bool norms;
    if (!llama_read(arch, &defaults, err) || !arch_factor(arch, "logit_scale", 0.0625, &arch->logit_scale, err) ||
        !arch_flag(arch, "use_qk_norm", false, &norms, err))
        return false;
    arch->norm_bare = true;
    arch->side_by_side = true;
    arch->rope_neighbours = true;
    return !norms || err_set(err, ERR_INPUT, "a cohere with 'use_qk_norm' is not supported");
}

static void list(ModelArch *arch)
{
    const bool bias = arch_says(arch, "attention_bias", false);
    llama_list(arch, &(LlamaLayer){ .qkv_bias = bias, .out_bias = bias, .norms = LLAMA_ONE });
}

const FamilyReader cohere_reader = { &cohere, keys, read, list };
