/* GPT-NeoX (Pythia): sublayers side by side, each behind a norm of its own, q, k and v of each head in one product, a
 * part of heads that turns. Source of names and defaults: Transformers 5.23, models/gpt_neox. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/rope.h"

static const char *const default_targets[] = { "query_key_value", NULL };

/* clang-format off */
static const char *const keys[] = {
    "attention_bias", "attention_dropout", "bos_token_id", "classifier_dropout", "eos_token_id", "hidden_act",
    "hidden_dropout", "hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps",
    "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "pad_token_id", "rope_parameters",
    "rope_scaling", "rotary_emb_base", "rotary_pct", "tie_word_embeddings", "use_parallel_residual", "vocab_size",
    NULL };
/* clang-format on */

static const char *const idle[] = { "layers.*.attention.bias", "layers.*.attention.masked_bias",
                                    "layers.*.attention.rotary_emb.inv_freq", NULL };
static const char *const heads[] = { "embed_out.*", "lm_head.*", "score.*", "classifier.*", "qa_outputs.*", NULL };
static const Rename renames[] = { { "lm_head", "embed_out" }, { 0 } }; /* in files still */

static const Family gpt_neox = {
    .model_type = "gpt_neox",
    .title = "GPT-NeoX with Pythia",
    .prefix = "gpt_neox.",
    .renames = renames,
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "GPTNeoXForSequenceClassification",
                    [TASK_TOKEN_CLS] = "GPTNeoXForTokenClassification",
                    [TASK_CAUSAL_LM] = "GPTNeoXForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "GPTNeoXModel",
                    [TASK_QUESTION_ANS] = "GPTNeoXForQuestionAnswering" },
};

static bool read_sizes(ModelArch *arch, Err *err)
{
    return arch_size(arch, "hidden_size", 6144, &arch->C, err) && arch_layers(arch, "num_hidden_layers", 44, err) &&
           arch_size(arch, "num_attention_heads", 64, &arch->H, err) &&
           arch_size(arch, "intermediate_size", 24576, &arch->F, err) &&
           arch_size(arch, "vocab_size", 50432, &arch->V, err) &&
           arch_size(arch, "max_position_embeddings", 2048, &arch->positions, err) &&
           arch_heads(arch, "hidden_size", "num_attention_heads", err);
}

static bool read_rope(ModelArch *arch, Err *err)
{
    json_t *base = json_object_get(arch->config, "rotary_emb_base");
    if (json_is_number(base) && !json_object_get(arch->config, "rope_theta"))
        json_object_set(arch->config, "rope_theta", base);
    arch->rope = true;
    return rope_read_part(arch, "rotary_pct", 0.25, err) && rope_check(arch, err);
}

static bool read(ModelArch *arch, Err *err)
{
    bool bias;
    arch_decoder(arch);
    arch->qkv_grouped = true;
    if (!read_sizes(arch, err) || !read_rope(arch, err) || !arch_norms(arch, "layer_norm_eps", 1e-5, err) ||
        !arch_tokens(arch, -1, 0, 2, err) || !arch_activation(arch, "hidden_act", "gelu", &arch->act, err) ||
        !arch_flag(arch, "use_parallel_residual", true, &arch->side_by_side, err) ||
        !arch_dropout(arch, "hidden_dropout", 0, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_dropout", 0, &arch->attention_dropout, err) ||
        (arch->head.task->tags && !arch_dropout(arch, "classifier_dropout", 0.1, &arch->head.dropout, err)))
        return false;
    arch->embed_dropout = arch->hidden_dropout;
    return arch_flag(arch, "attention_bias", true, &bias, err) &&
           arch_flag(arch, "tie_word_embeddings", false, &arch->tied, err);
}

static void list(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F;
    const bool bias = arch_says(arch, "attention_bias", true);
    const LayerModule modules[] = { { "input_layernorm", ROLE_ATTN_NORM, C, 0, true },
                                    { "post_attention_layernorm", ROLE_FF_NORM, C, 0, true },
                                    { "attention.query_key_value", ROLE_QKV, 3 * C, C, bias },
                                    { "attention.dense", ROLE_ATTN_OUT, C, C, bias },
                                    { "mlp.dense_h_to_4h", ROLE_FF_UP, F, C, true },
                                    { "mlp.dense_4h_to_h", ROLE_FF_DOWN, C, F, true } };
    arch_add_table(arch, xstrdup("gpt_neox.embed_in"), ROLE_WORD, arch->V);
    for (int layer = 0; layer < arch->layers; layer++)
        arch_add_layer(arch, "gpt_neox.layers", layer, modules, LENGTH(modules));
    arch_add_norm(arch, xstrdup("gpt_neox.final_layer_norm"), -1, ROLE_FINAL_NORM);
    if (arch->head.task->speaks)
        arch_add_lm_head(arch, false);
    else if (arch->head.task->tags)
        arch_add_head(arch, xstrdup("classifier"), true);
    else
        arch_add_head(arch, xstrdup("score"), false);
}

const FamilyReader gpt_neox_reader = { &gpt_neox, keys, read, list };
