/* Phi-1, 1.5 and 2: sublayers side by side behind one norm, biases everywhere, a part of heads that turns.
 * Source of names and defaults: Transformers 5.23, models/phi. */
#include "common/model/family.h"

#include "common/base/mem.h"
#include "common/model/rope.h"

static const char *const default_targets[] = { "q_proj", "v_proj", "fc1", "fc2", NULL };

/* clang-format off */
static const char *const keys[] = {
    "attention_dropout", "bos_token_id", "classifier_dropout", "embd_pdrop", "eos_token_id", "hidden_act",
    "hidden_dropout", "hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps",
    "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "pad_token_id",
    "partial_rotary_factor", "qk_layernorm", "resid_pdrop", "rope_parameters", "rope_scaling", "rope_theta",
    "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const Family phi = {
    .model_type = "phi",
    .title = "Phi 1 and 2",
    .prefix = "model.",
    .default_targets = default_targets,
    .idle = llama_idle,
    .heads = llama_heads,
    .task_class = { [TASK_SEQ_CLS] = "PhiForSequenceClassification",
                    [TASK_TOKEN_CLS] = "PhiForTokenClassification",
                    [TASK_CAUSAL_LM] = "PhiForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "PhiModel" },
};

static bool read_sizes(ModelArch *arch, Err *err)
{
    if (!arch_size(arch, "hidden_size", 2048, &arch->C, err) || !arch_layers(arch, "num_hidden_layers", 24, err) ||
        !arch_size(arch, "num_attention_heads", 32, &arch->H, err) ||
        !arch_size(arch, "intermediate_size", 8192, &arch->F, err) ||
        !arch_size(arch, "vocab_size", 51200, &arch->V, err) ||
        !arch_size(arch, "max_position_embeddings", 2048, &arch->positions, err) ||
        !arch_heads(arch, "hidden_size", "num_attention_heads", err) ||
        !arch_size(arch, "num_key_value_heads", arch->H, &arch->K, err))
        return false;
    return arch->H % arch->K == 0 ||
           err_set(err, ERR_INPUT, "num_attention_heads %lld is no multiple of num_key_value_heads %lld",
                   (long long)arch->H, (long long)arch->K);
}

static bool read(ModelArch *arch, Err *err)
{
    bool norms;
    arch_decoder(arch);
    arch->side_by_side = true;
    arch->rope = true;
    if (!read_sizes(arch, err) || !rope_read_part(arch, "partial_rotary_factor", 0.5, err) || !rope_check(arch, err) ||
        !arch_norms(arch, "layer_norm_eps", 1e-5, err) || !arch_tokens(arch, -1, 1, 2, err) ||
        !arch_activation(arch, "hidden_act", "gelu_new", &arch->act, err) ||
        !arch_dropout(arch, "embd_pdrop", 0, &arch->embed_dropout, err) ||
        !arch_dropout(arch, "resid_pdrop", 0, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_dropout", 0, &arch->attention_dropout, err) ||
        (arch->head.task->tags && !arch_token_dropout(arch, err)))
        return false;
    arch->padding_row = arch->pad_id;
    return arch_flag(arch, "qk_layernorm", false, &norms, err) &&
           arch_flag(arch, "tie_word_embeddings", false, &arch->tied, err);
}

static void list(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F, K = arch->K * arch->D;
    const bool norms = arch_says(arch, "qk_layernorm", false);
    const LayerModule modules[] = { { "self_attn.q_proj", ROLE_Q, C, C, true },
                                    { "self_attn.k_proj", ROLE_K, K, C, true },
                                    { "self_attn.v_proj", ROLE_V, K, C, true },
                                    { "self_attn.dense", ROLE_ATTN_OUT, C, C, true },
                                    { norms ? "self_attn.q_layernorm" : NULL, ROLE_Q_NORM, arch->D, 0, true },
                                    { norms ? "self_attn.k_layernorm" : NULL, ROLE_K_NORM, arch->D, 0, true },
                                    { "mlp.fc1", ROLE_FF_UP, F, C, true },
                                    { "mlp.fc2", ROLE_FF_DOWN, C, F, true },
                                    { "input_layernorm", ROLE_ATTN_NORM, C, 0, true } };
    arch_add_table(arch, xstrdup("model.embed_tokens"), ROLE_WORD, arch->V);
    for (int layer = 0; layer < arch->layers; layer++)
        arch_add_layer(arch, "model.layers", layer, modules, LENGTH(modules));
    arch_add_norm(arch, xstrdup("model.final_layernorm"), -1, ROLE_FINAL_NORM);
    if (arch->head.task->speaks)
        arch_add_lm_head(arch, true);
    else
        arch_add_head(arch, xstrdup("score"), arch->head.task->tags);
}

const FamilyReader phi_reader = { &phi, keys, read, list };
