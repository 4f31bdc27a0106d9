/* T5, and its v1.1 (Flan-T5) with a gated MLP and a head of its own: an encoder and a decoder with RMSNorms before
 * sublayers, no biases, no positions but what heads add to scores by distance.
 * Source of names and defaults: Transformers 5.23, models/t5. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include <math.h>
#include <string.h>

static const char *const default_targets[] = { "q", "v", NULL };

/* clang-format off */
static const char *const keys[] = {
    "d_ff", "d_kv", "d_model", "decoder_start_token_id", "dropout_rate", "eos_token_id", "feed_forward_proj",
    "initializer_factor", "layer_norm_epsilon", "num_decoder_layers", "num_heads", "num_layers", "pad_token_id",
    "relative_attention_max_distance", "relative_attention_num_buckets", "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const char *const idle[] = { "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                                    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", NULL };
static const char *const heads[] = { "lm_head.weight", NULL };

static const Family t5 = {
    .model_type = "t5",
    .title = "T5 with Flan-T5",
    .prefix = "",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_2_SEQ_LM] = "T5ForConditionalGeneration" },
};

static bool read_sizes(ModelArch *arch, Err *err)
{
    arch->positions = 1 << 20; /* distances do not end: the length it was trained at bounds nothing */
    return arch_size(arch, "d_model", 512, &arch->C, err) &&
           arch_stacks(arch, "num_layers", "num_decoder_layers", 6, err) &&
           arch_size(arch, "num_heads", 8, &arch->H, err) && arch_size(arch, "d_kv", 64, &arch->D, err) &&
           arch_size(arch, "d_ff", 2048, &arch->F, err) && arch_size(arch, "vocab_size", 32128, &arch->V, err) &&
           arch_size(arch, "relative_attention_num_buckets", 32, &arch->buckets, err) &&
           arch_size(arch, "relative_attention_max_distance", 128, &arch->bucket_distance, err);
}

/* "relu", or "gated-" and an activation; gelu of a gated one is gelu_new. */
static bool read_activation(ModelArch *arch, Err *err)
{
    const char *name = json_get_string(arch->config, "feed_forward_proj", "relu", err);
    arch->gated = err->kind == ERR_NONE && strncmp(name, "gated-", 6) == 0;
    name += arch->gated ? 6 : 0;
    return err->kind == ERR_NONE && arch_activation_named(arch->gated && strcmp(name, "gelu") == 0 ? "gelu_new" : name,
                                                          "feed_forward_proj", &arch->act, err);
}

static bool read(ModelArch *arch, Err *err)
{
    double dropout;
    bool scaled;
    arch_decoder(arch);
    arch->norm = NORM_RMS;
    if (!read_sizes(arch, err) || !read_activation(arch, err) || !arch_norms(arch, "layer_norm_epsilon", 1e-6, err) ||
        !arch_tokens(arch, 0, -1, 1, err) || !arch_start(arch, arch->pad_id, err) ||
        !arch_dropout(arch, "dropout_rate", 0.1, &dropout, err) ||
        !arch_flag(arch, "tie_word_embeddings", true, &scaled, err))
        return false;
    arch->K = arch->H;
    arch_scale_by(arch, 1);
    arch->embed_dropout = arch->hidden_dropout = arch->inner_dropout = arch->final_dropout = arch->attention_dropout =
        dropout;
    arch->tied = true; /* where files hold no other head */
    arch->logit_scale = scaled ? 1 / sqrt((double)arch->C) : 1;
    return true;
}

/* clang-format off */
#define FF(n) { "layer." n ".DenseReluDense.wi", "layer." n ".DenseReluDense.wi_0", "layer." n ".DenseReluDense.wi_1", \
                "layer." n ".DenseReluDense.wo", "layer." n ".layer_norm" }
/* clang-format on */
static const char *const ff_names[][5] = { FF("1"), FF("2") };
static const char table[] = "layer.0.SelfAttention.relative_attention_bias";

/* Block `layer` of a stack, whose blocks are counted from `first`. */
static void list_block(ModelArch *arch, const char *stack, int layer, int first)
{
    const int64_t C = arch->C, E = arch->H * arch->D, F = arch->F;
    const bool writes = first > 0, gated = arch->gated;
    const LayerModule modules[] = {
        { "layer.0.SelfAttention.q", ROLE_Q, E, C, false },
        { "layer.0.SelfAttention.k", ROLE_K, E, C, false },
        { "layer.0.SelfAttention.v", ROLE_V, E, C, false },
        { "layer.0.SelfAttention.o", ROLE_ATTN_OUT, C, E, false },
        { layer == 0 ? table : NULL, ROLE_BUCKETS, arch->buckets, arch->H, false },
        { "layer.0.layer_norm", ROLE_ATTN_NORM, C, 0, false },
        { writes ? "layer.1.EncDecAttention.q" : NULL, ROLE_CROSS_Q, E, C, false },
        { writes ? "layer.1.EncDecAttention.k" : NULL, ROLE_CROSS_K, E, C, false },
        { writes ? "layer.1.EncDecAttention.v" : NULL, ROLE_CROSS_V, E, C, false },
        { writes ? "layer.1.EncDecAttention.o" : NULL, ROLE_CROSS_OUT, C, E, false },
        { writes ? "layer.1.layer_norm" : NULL, ROLE_CROSS_NORM, C, 0, false },
        { gated ? ff_names[writes][1] : NULL, ROLE_FF_GATE, F, C, false },
        { gated ? ff_names[writes][2] : ff_names[writes][0], ROLE_FF_UP, F, C, false },
        { ff_names[writes][3], ROLE_FF_DOWN, C, F, false },
        { ff_names[writes][4], ROLE_FF_NORM, C, 0, false },
    };
    arch_add_block(arch, stack, layer, first, modules, LENGTH(modules));
}

static void list(ModelArch *arch)
{
    const int source = (int)arch->source_layers;
    arch_add_table(arch, xstrdup("shared"), ROLE_WORD, arch->V);
    for (int layer = 0; layer < source; layer++)
        list_block(arch, "encoder.block", layer, 0);
    arch_add_norm(arch, xstrdup("encoder.final_layer_norm"), -1, ROLE_SOURCE_FINAL_NORM);
    for (int layer = 0; layer < arch->layers - source; layer++)
        list_block(arch, "decoder.block", layer, source);
    arch_add_norm(arch, xstrdup("decoder.final_layer_norm"), -1, ROLE_FINAL_NORM);
    arch_add_lm_head(arch, false);
}

const FamilyReader t5_reader = { &t5, keys, read, list };
