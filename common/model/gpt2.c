/* GPT-2: learned positions, pre-norm blocks, causal attention with q, k and v in
 * one Conv1D (a linear whose file holds [in,out]).
 * Source of names and defaults: Transformers 5.23, models/gpt2. */
#include "common/model/family.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <math.h>

static const char *const default_targets[] = { "c_attn", NULL };

/* What the attention's upcast changes is nothing in f32, so its key is taken as it is. */
/* clang-format off */
static const char *const keys[] = {
    "activation_function", "add_cross_attention", "attn_pdrop", "bos_token_id", "classifier_dropout", "embd_pdrop",
    "eos_token_id", "hidden_dropout", "initializer_range", "layer_norm_epsilon", "n_embd", "n_head", "n_inner",
    "n_layer", "n_positions", "pad_token_id", "reorder_and_upcast_attn", "resid_pdrop",
    "scale_attn_by_inverse_layer_idx", "scale_attn_weights", "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const char *const idle[] = { "h.*.attn.bias", "h.*.attn.masked_bias", "h.*.crossattention.bias", NULL };
static const char *const heads[] = { "lm_head.*",    "multiple_choice_head.*", "score.*",
                                     "classifier.*", "qa_outputs.*",           NULL };

static const Family gpt2 = {
    .model_type = "gpt2",
    .title = "GPT-2",
    .prefix = "transformer.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "GPT2ForSequenceClassification",
                    [TASK_TOKEN_CLS] = "GPT2ForTokenClassification",
                    [TASK_CAUSAL_LM] = "GPT2LMHeadModel",
                    [TASK_FEATURE_EXTRACTION] = "GPT2Model",
                    [TASK_QUESTION_ANS] = "GPT2ForQuestionAnswering" },
};

static bool read_sizes(ModelArch *arch, Err *err)
{
    return arch_size(arch, "n_embd", 768, &arch->C, err) && arch_layers(arch, "n_layer", 12, err) &&
           arch_size(arch, "n_head", 12, &arch->H, err) && arch_size(arch, "n_inner", 4 * arch->C, &arch->F, err) &&
           arch_size(arch, "vocab_size", 50257, &arch->V, err) &&
           arch_size(arch, "n_positions", 1024, &arch->positions, err) && arch_heads(arch, "n_embd", "n_head", err);
}

static bool read_scales(ModelArch *arch, Err *err)
{
    bool by_width, by_layer;
    if (!arch_flag(arch, "scale_attn_weights", true, &by_width, err) ||
        !arch_flag(arch, "scale_attn_by_inverse_layer_idx", false, &by_layer, err))
        return false;
    for (int64_t l = 0; l < arch->layers; l++)
        arch->scales[l] = (by_width ? 1.0 / sqrt((double)arch->D) : 1.0) / (by_layer ? (double)(l + 1) : 1.0);
    return true;
}

static bool read(ModelArch *arch, Err *err)
{
    arch->pre_norm = true;
    arch->causal = true;
    arch->padding_row = -1; /* wte has no padding_idx */
    arch->head.rows = arch->head.task->of_tokens ? READ_LABELLED : READ_LAST;
    return read_sizes(arch, err) && arch_no_decoder(arch, err) && read_scales(arch, err) &&
           arch_norms(arch, "layer_norm_epsilon", 1e-5, err) && arch_tokens(arch, -1, 50256, 50256, err) &&
           arch_activation(arch, "activation_function", "gelu_new", &arch->act, err) &&
           arch_dropout(arch, "embd_pdrop", 0.1, &arch->embed_dropout, err) &&
           arch_dropout(arch, "resid_pdrop", 0.1, &arch->hidden_dropout, err) &&
           arch_dropout(arch, "attn_pdrop", 0.1, &arch->attention_dropout, err) &&
           (!arch->head.task->tags || arch_token_dropout(arch, err)) &&
           arch_flag(arch, "tie_word_embeddings", true, &arch->tied, err);
}

static void add_conv1d(ModelArch *arch, int layer, const char *name, Role role, int64_t out, int64_t in)
{
    arch_add(arch, xprintf("transformer.h.%d.%s", layer, name),
             &(Module){ .kind = MODULE_LINEAR,
                        .role = role,
                        .layer = layer,
                        .out = out,
                        .in = in,
                        .bias = true,
                        .transposed = true });
}

static void list_layer(ModelArch *arch, int layer)
{
    const int64_t C = arch->C, F = arch->F;
    arch_add_norm(arch, xprintf("transformer.h.%d.ln_1", layer), layer, ROLE_ATTN_NORM);
    add_conv1d(arch, layer, "attn.c_attn", ROLE_QKV, 3 * C, C);
    add_conv1d(arch, layer, "attn.c_proj", ROLE_ATTN_OUT, C, C);
    arch_add_norm(arch, xprintf("transformer.h.%d.ln_2", layer), layer, ROLE_FF_NORM);
    add_conv1d(arch, layer, "mlp.c_fc", ROLE_FF_UP, F, C);
    add_conv1d(arch, layer, "mlp.c_proj", ROLE_FF_DOWN, C, F);
}

static void list(ModelArch *arch)
{
    arch_add_table(arch, xstrdup("transformer.wte"), ROLE_WORD, arch->V);
    arch_add_table(arch, xstrdup("transformer.wpe"), ROLE_POSITION, arch->positions);
    for (int layer = 0; layer < arch->layers; layer++)
        list_layer(arch, layer);
    arch_add_norm(arch, xstrdup("transformer.ln_f"), -1, ROLE_FINAL_NORM);
    if (arch->head.task->speaks)
        arch_add_lm_head(arch, false);
    else if (arch->head.task->tags)
        arch_add_head(arch, xstrdup("classifier"), true);
    else
        arch_add_head(arch, xstrdup("score"), false);
}

const FamilyReader gpt2_reader = { &gpt2, keys, read, list };
