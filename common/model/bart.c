/* BART: an encoder and a decoder with norms behind sublayers, biases everywhere, learned positions of each stack from
 * their third row on. Source of names and defaults: Transformers 5.23, models/bart. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/family.h"
#include <math.h>
#include <stdlib.h>

static const char *const default_targets[] = { "q_proj", "v_proj", NULL };

/* clang-format off */
static const char *const keys[] = {
    "activation_dropout", "activation_function", "attention_dropout", "bos_token_id", "d_model",
    "decoder_attention_heads", "decoder_ffn_dim", "decoder_layerdrop", "decoder_layers", "decoder_start_token_id",
    "dropout", "encoder_attention_heads", "encoder_ffn_dim", "encoder_layerdrop", "encoder_layers", "eos_token_id",
    "init_std", "max_position_embeddings", "pad_token_id", "scale_embedding", "tie_word_embeddings", "vocab_size",
    NULL };
/* clang-format on */

static const char *const idle[] = { "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "encoder.version",
                                    "decoder.version", NULL };
static const char *const heads[] = { "lm_head.weight", "classification_head.*", "qa_outputs.*", NULL };
static const char *const zeros[] = { "final_logits_bias", NULL };

static const Family bart = {
    .model_type = "bart",
    .title = "BART",
    .prefix = "model.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .zeros = zeros,
    .task_class = { [TASK_SEQ_2_SEQ_LM] = "BartForConditionalGeneration" },
};

enum { FIRST_ROW = 2 }; /* of the position tables (BartLearnedPositionalEmbedding) */

/* Both stacks have the same widths here, and no layer that training leaves out. */
static bool check_plain(ModelArch *arch, Err *err)
{
    int64_t own, wide;
    if (!arch_size(arch, "decoder_attention_heads", 16, &own, err) ||
        !arch_size(arch, "decoder_ffn_dim", 4096, &wide, err) || !arch_no_layerdrop(arch, "encoder_layerdrop", err) ||
        !arch_no_layerdrop(arch, "decoder_layerdrop", err) ||
        !arch_flag(arch, "tie_word_embeddings", true, &arch->tied, err))
        return false;
    return (own == arch->H && wide == arch->F && arch->tied) ||
           err_set(err, ERR_INPUT, "a bart %s is not supported",
                   arch->tied ? "whose encoder and decoder differ in heads or width"
                              : "with 'tie_word_embeddings' false");
}

static bool read_sizes(ModelArch *arch, Err *err)
{
    return arch_size(arch, "d_model", 1024, &arch->C, err) &&
           arch_stacks(arch, "encoder_layers", "decoder_layers", 12, err) &&
           arch_size(arch, "encoder_attention_heads", 16, &arch->H, err) &&
           arch_size(arch, "encoder_ffn_dim", 4096, &arch->F, err) &&
           arch_size(arch, "vocab_size", 50265, &arch->V, err) &&
           arch_size(arch, "max_position_embeddings", 1024, &arch->positions, err) &&
           arch_heads(arch, "d_model", "encoder_attention_heads", err);
}

static bool read(ModelArch *arch, Err *err)
{
    bool scales;
    arch_decoder(arch);
    arch->pre_norm = false;
    arch->norm_eps = 1e-5;
    arch->position_offset = FIRST_ROW;
    if (!read_sizes(arch, err) || !check_plain(arch, err) || !arch_initializer(arch, "init_std", err) ||
        !arch_tokens(arch, 1, 0, 2, err) || !arch_start(arch, arch->eos_id, err) ||
        !arch_activation(arch, "activation_function", "gelu", &arch->act, err) ||
        !arch_dropout(arch, "dropout", 0.1, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_dropout", 0, &arch->attention_dropout, err) ||
        !arch_dropout(arch, "activation_dropout", 0, &arch->inner_dropout, err) ||
        !arch_flag(arch, "scale_embedding", false, &scales, err))
        return false;
    arch->embed_dropout = arch->hidden_dropout;
    arch->embed_scale = scales ? sqrt((double)arch->C) : 1;
    arch->padding_row = arch->pad_id;
    return true;
}

static void list_stack(ModelArch *arch, const char *stack, int count, int first)
{
    const int64_t C = arch->C, F = arch->F;
    const bool writes = first > 0;
    const LayerModule modules[] = { { "self_attn.k_proj", ROLE_K, C, C, true },
                                    { "self_attn.v_proj", ROLE_V, C, C, true },
                                    { "self_attn.q_proj", ROLE_Q, C, C, true },
                                    { "self_attn.out_proj", ROLE_ATTN_OUT, C, C, true },
                                    { "self_attn_layer_norm", ROLE_ATTN_NORM, C, 0, true },
                                    { writes ? "encoder_attn.k_proj" : NULL, ROLE_CROSS_K, C, C, true },
                                    { writes ? "encoder_attn.v_proj" : NULL, ROLE_CROSS_V, C, C, true },
                                    { writes ? "encoder_attn.q_proj" : NULL, ROLE_CROSS_Q, C, C, true },
                                    { writes ? "encoder_attn.out_proj" : NULL, ROLE_CROSS_OUT, C, C, true },
                                    { writes ? "encoder_attn_layer_norm" : NULL, ROLE_CROSS_NORM, C, 0, true },
                                    { "fc1", ROLE_FF_UP, F, C, true },
                                    { "fc2", ROLE_FF_DOWN, C, F, true },
                                    { "final_layer_norm", ROLE_FF_NORM, C, 0, true } };
    char *layers = xprintf("%s.layers", stack);
    arch_add_table(arch, xprintf("%s.embed_positions", stack), writes ? ROLE_POSITION : ROLE_SOURCE_POSITION,
                   arch->positions + FIRST_ROW);
    for (int layer = 0; layer < count; layer++)
        arch_add_block(arch, layers, layer, first, modules, LENGTH(modules));
    arch_add_norm(arch, xprintf("%s.layernorm_embedding", stack), -1,
                  writes ? ROLE_EMBED_NORM : ROLE_SOURCE_EMBED_NORM);
    free(layers);
}

static void list(ModelArch *arch)
{
    arch_add_table(arch, xstrdup("model.shared"), ROLE_WORD, arch->V);
    list_stack(arch, "model.encoder", (int)arch->source_layers, 0);
    list_stack(arch, "model.decoder", (int)(arch->layers - arch->source_layers), (int)arch->source_layers);
    arch_add_lm_head(arch, false);
}

const FamilyReader bart_reader = { &bart, keys, read, list };
