/* BLOOM: slopes instead of positions, a norm behind the words, q, k and v of each head in one product.
 * Source of names and defaults: Transformers 5.23, models/bloom. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"

static const char *const default_targets[] = { "query_key_value", NULL };

/* clang-format off */
static const char *const keys[] = {
    "apply_residual_connection_post_layernorm", "attention_dropout", "bos_token_id", "classifier_dropout",
    "eos_token_id", "hidden_dropout", "hidden_size", "initializer_range", "layer_norm_epsilon", "n_embed", "n_head",
    "n_layer", "num_attention_heads", "num_hidden_layers", "pad_token_id", "tie_word_embeddings", "vocab_size",
    NULL };
/* clang-format on */

static const char *const idle[] = { NULL };
static const char *const heads[] = { "lm_head.*", "score.*", "classifier.*", "qa_outputs.*", NULL };

static const Family bloom = {
    .model_type = "bloom",
    .title = "BLOOM",
    .prefix = "transformer.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "BloomForSequenceClassification",
                    [TASK_TOKEN_CLS] = "BloomForTokenClassification",
                    [TASK_CAUSAL_LM] = "BloomForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "BloomModel",
                    [TASK_QUESTION_ANS] = "BloomForQuestionAnswering" },
};

/* The key's other name counts where it is there. */
static const char *named(const ModelArch *arch, const char *key, const char *other)
{
    return json_object_get(arch->config, other) ? other : key;
}

/* Slopes do not end: the length it was trained at bounds nothing. */
static bool read_sizes(ModelArch *arch, Err *err)
{
    const char *width = named(arch, "hidden_size", "n_embed"), *count = named(arch, "n_head", "num_attention_heads");
    if (!arch_size(arch, width, 64, &arch->C, err) ||
        !arch_layers(arch, named(arch, "n_layer", "num_hidden_layers"), 2, err) ||
        !arch_size(arch, count, 8, &arch->H, err) || !arch_size(arch, "vocab_size", 250880, &arch->V, err) ||
        !arch_size(arch, "seq_length", 2048, &arch->positions, err) || !arch_heads(arch, width, count, err))
        return false;
    arch->F = 4 * arch->C;
    return true;
}

static bool read(ModelArch *arch, Err *err)
{
    bool after;
    arch_decoder(arch);
    arch->qkv_grouped = true;
    arch->alibi = ALIBI_PLAIN;
    arch->act = ACT_GELU_TANH;
    if (!read_sizes(arch, err) || !arch_norms(arch, "layer_norm_epsilon", 1e-5, err) ||
        !arch_tokens(arch, -1, 1, 2, err) || !arch_dropout(arch, "hidden_dropout", 0, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_dropout", 0, &arch->attention_dropout, err) ||
        !arch_dropout(arch, "classifier_dropout", arch->hidden_dropout, &arch->head.dropout, err) ||
        !arch_flag(arch, "apply_residual_connection_post_layernorm", false, &after, err) ||
        !arch_flag(arch, "tie_word_embeddings", true, &arch->tied, err))
        return false;
    return !after ||
           err_set(err, ERR_INPUT, "a bloom with 'apply_residual_connection_post_layernorm' is not supported");
}

static void list(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F;
    const LayerModule modules[] = { { "input_layernorm", ROLE_ATTN_NORM, C, 0, true },
                                    { "self_attention.query_key_value", ROLE_QKV, 3 * C, C, true },
                                    { "self_attention.dense", ROLE_ATTN_OUT, C, C, true },
                                    { "post_attention_layernorm", ROLE_FF_NORM, C, 0, true },
                                    { "mlp.dense_h_to_4h", ROLE_FF_UP, F, C, true },
                                    { "mlp.dense_4h_to_h", ROLE_FF_DOWN, C, F, true } };
    arch_add_table(arch, xstrdup("transformer.word_embeddings"), ROLE_WORD, arch->V);
    arch_add_norm(arch, xstrdup("transformer.word_embeddings_layernorm"), -1, ROLE_EMBED_NORM);
    for (int layer = 0; layer < arch->layers; layer++)
        arch_add_layer(arch, "transformer.h", layer, modules, LENGTH(modules));
    arch_add_norm(arch, xstrdup("transformer.ln_f"), -1, ROLE_FINAL_NORM);
    if (arch->head.task->speaks)
        arch_add_lm_head(arch, false);
    else
        arch_add_head(arch, xstrdup(arch->head.task->tags ? "classifier" : "score"), arch->head.task->tags);
}

const FamilyReader bloom_reader = { &bloom, keys, read, list };
