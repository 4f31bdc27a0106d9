/* Falcon: q of several heads beside each k and v in one product, sublayers side by side behind one norm or two, or,
 * with slopes instead of turns, one behind the other. Source of names and defaults: Transformers 5.23, models/falcon. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/rope.h"

static const char *const default_targets[] = { "query_key_value", NULL };

/* clang-format off */
static const char *const keys[] = {
    "activation", "alibi", "apply_residual_connection_post_layernorm", "attention_dropout", "bias", "bos_token_id",
    "classifier_dropout", "eos_token_id", "ffn_hidden_size", "hidden_dropout", "hidden_size", "initializer_range",
    "layer_norm_epsilon", "max_position_embeddings", "multi_query", "new_decoder_architecture",
    "num_attention_heads", "num_hidden_layers", "num_kv_heads", "num_ln_in_parallel_attn", "pad_token_id",
    "parallel_attn", "rope_parameters", "rope_scaling", "rope_theta", "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const char *const idle[] = { "*rotary_emb.inv_freq", "*maybe_rotary.inv_freq", NULL };
static const char *const heads[] = { "lm_head.*", "score.*", "classifier.*", "qa_outputs.*", NULL };

static const Family falcon = {
    .model_type = "falcon",
    .title = "Falcon",
    .prefix = "transformer.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "FalconForSequenceClassification",
                    [TASK_TOKEN_CLS] = "FalconForTokenClassification",
                    [TASK_CAUSAL_LM] = "FalconForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "FalconModel",
                    [TASK_QUESTION_ANS] = "FalconForQuestionAnswering" },
};

/* Heads of k and v: one, those of the newer shape, or as many as of q. */
static bool read_groups(ModelArch *arch, Err *err)
{
    bool newer, single;
    if (!arch_flag(arch, "new_decoder_architecture", false, &newer, err) ||
        !arch_flag(arch, "multi_query", true, &single, err))
        return false;
    if (!newer) {
        arch->K = single ? 1 : arch->H;
        return true;
    }
    return arch_size(arch, "num_kv_heads", arch->H, &arch->K, err) &&
           (arch->H % arch->K == 0 ||
            err_set(err, ERR_INPUT, "num_attention_heads %lld is no multiple of num_kv_heads %lld", (long long)arch->H,
                    (long long)arch->K));
}

static bool read_sizes(ModelArch *arch, Err *err)
{
    return arch_size(arch, "hidden_size", 4544, &arch->C, err) && arch_layers(arch, "num_hidden_layers", 32, err) &&
           arch_size(arch, "num_attention_heads", 71, &arch->H, err) &&
           arch_size(arch, "ffn_hidden_size", 4 * arch->C, &arch->F, err) &&
           arch_size(arch, "vocab_size", 65024, &arch->V, err) &&
           arch_size(arch, "max_position_embeddings", 2048, &arch->positions, err) &&
           arch_heads(arch, "hidden_size", "num_attention_heads", err) && read_groups(arch, err);
}

/* Weights of attention drop where there are slopes alone. */
static bool read_shape(ModelArch *arch, Err *err)
{
    bool slopes, beside, bias, after;
    if (!arch_flag(arch, "alibi", false, &slopes, err) || !arch_flag(arch, "parallel_attn", true, &beside, err) ||
        !arch_flag(arch, "bias", false, &bias, err) ||
        !arch_flag(arch, "apply_residual_connection_post_layernorm", false, &after, err) ||
        (slopes && !arch_dropout(arch, "attention_dropout", 0, &arch->attention_dropout, err)))
        return false;
    arch->rope = !slopes;
    arch->alibi = slopes ? ALIBI_ROUNDED : ALIBI_NONE;
    arch->side_by_side = beside || arch_says(arch, "new_decoder_architecture", false);
    if (after)
        return err_set(err, ERR_INPUT, "a falcon with 'apply_residual_connection_post_layernorm' is not supported");
    if (arch->side_by_side && arch->hidden_dropout > 0) /* one mask for the sum of both */
        return err_set(err, ERR_INPUT, "a falcon with 'hidden_dropout' and sublayers side by side is not supported") ||
               err_hint(err, "model_config: {hidden_dropout: 0.0}");
    return slopes || rope_check(arch, err);
}

static bool read(ModelArch *arch, Err *err)
{
    arch_decoder(arch);
    arch->qkv_grouped = true;
    return read_sizes(arch, err) && arch_dropout(arch, "hidden_dropout", 0, &arch->hidden_dropout, err) &&
           read_shape(arch, err) && arch_norms(arch, "layer_norm_epsilon", 1e-5, err) &&
           arch_tokens(arch, -1, 11, 11, err) && arch_activation(arch, "activation", "gelu", &arch->act, err) &&
           arch_dropout(arch, "classifier_dropout", arch->hidden_dropout, &arch->head.dropout, err) &&
           arch_flag(arch, "tie_word_embeddings", true, &arch->tied, err);
}

static void list(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F, QKV = (arch->H + 2 * arch->K) * arch->D;
    const json_t *norms = json_object_get(arch->config, "num_ln_in_parallel_attn");
    const bool bias = arch_says(arch, "bias", false), newer = arch_says(arch, "new_decoder_architecture", false);
    const bool two = newer && !(json_is_integer(norms) && json_integer_value(norms) != 2);
    const LayerModule modules[] = { { "self_attention.query_key_value", ROLE_QKV, QKV, C, bias },
                                    { "self_attention.dense", ROLE_ATTN_OUT, C, C, bias },
                                    { "mlp.dense_h_to_4h", ROLE_FF_UP, F, C, bias },
                                    { "mlp.dense_4h_to_h", ROLE_FF_DOWN, C, F, bias },
                                    { two ? "ln_attn" : "input_layernorm", ROLE_ATTN_NORM, C, 0, true },
                                    { two                  ? "ln_mlp"
                                      : arch->side_by_side ? NULL
                                                           : "post_attention_layernorm",
                                      ROLE_FF_NORM, C, 0, true } };
    arch_add_table(arch, xstrdup("transformer.word_embeddings"), ROLE_WORD, arch->V);
    for (int layer = 0; layer < arch->layers; layer++)
        arch_add_layer(arch, "transformer.h", layer, modules, LENGTH(modules));
    arch_add_norm(arch, xstrdup("transformer.ln_f"), -1, ROLE_FINAL_NORM);
    if (arch->head.task->speaks)
        arch_add_lm_head(arch, false);
    else
        arch_add_head(arch, xstrdup(arch->head.task->tags ? "classifier" : "score"), arch->head.task->tags);
}

const FamilyReader falcon_reader = { &falcon, keys, read, list };
