/* StableLM: Llama's block with layer norms, a part of heads that turns, and, of the largest, sublayers side by side.
 * Source of names and defaults: Transformers 5.23, models/stablelm. */
#include "common/model/family.h"

/* clang-format off */
static const char *const keys[] = {
    "attention_dropout", "bos_token_id", "classifier_dropout", "eos_token_id", "hidden_act", "hidden_dropout",
    "hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps", "max_position_embeddings",
    "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "pad_token_id", "partial_rotary_factor",
    "qk_layernorm", "rope_parameters", "rope_scaling", "rope_theta", "tie_word_embeddings",
    "use_parallel_residual", "use_qkv_bias", "vocab_size", NULL };
/* clang-format on */

static const Family stablelm = {
    .model_type = "stablelm",
    .title = "StableLM",
    .prefix = "model.",
    .default_targets = llama_targets,
    .idle = llama_idle,
    .heads = llama_heads,
    .tokenizer_alone = true,
    .task_class = { [TASK_SEQ_CLS] = "StableLmForSequenceClassification",
                    [TASK_TOKEN_CLS] = "StableLmForTokenClassification",
                    [TASK_CAUSAL_LM] = "StableLmForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "StableLmModel" },
};

static const LlamaDefaults defaults = {
    .F = 6912,
    .K = 32,
    .V = 50304,
    .positions = 4096,
    .pad = -1,
    .bos = 0,
    .eos = 0,
    .C = 2560,
    .eps_key = "layer_norm_eps",
    .eps = 1e-5,
    .part = 0.25,
};

/* hidden_dropout is behind the MLP alone. */
static bool read(ModelArch *arch, Err *err)
{
    bool biases, norms;
    if (!llama_read(arch, &defaults, err) ||
        !arch_flag(arch, "use_parallel_residual", false, &arch->side_by_side, err) ||
        !arch_flag(arch, "use_qkv_bias", false, &biases, err) || !arch_flag(arch, "qk_layernorm", false, &norms, err) ||
        !arch_dropout(arch, "hidden_dropout", 0, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "classifier_dropout", arch->hidden_dropout, &arch->head.dropout, err))
        return false;
    arch->attention_stays = true;
    return !norms || err_set(err, ERR_INPUT, "a stablelm with 'qk_layernorm' is not supported");
}

static void list(ModelArch *arch)
{
    llama_list(arch, &(LlamaLayer){ .qkv_bias = arch_says(arch, "use_qkv_bias", false),
                                    .norms = arch->side_by_side ? LLAMA_ONE : LLAMA_BEFORE });
}

const FamilyReader stablelm_reader = { &stablelm, keys, read, list };
