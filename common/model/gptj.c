/* GPT-J: sublayers side by side behind one norm, neighbours that turn in a part of each head, a bias of the output
 * words. Source of names and defaults: Transformers 5.23, models/gptj. */
#include "common/model/family.h"

#include "common/base/mem.h"
#include "common/model/rope.h"

/* clang-format off */
static const char *const keys[] = {
    "activation_function", "attn_pdrop", "bos_token_id", "embd_pdrop", "eos_token_id", "initializer_range",
    "layer_norm_epsilon", "n_embd", "n_head", "n_inner", "n_layer", "n_positions", "pad_token_id", "resid_pdrop",
    "rotary_dim", "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const char *const idle[] = { "h.*.attn.bias", "h.*.attn.masked_bias", "h.*.attn.embed_positions", NULL };

static const Family gptj = {
    .model_type = "gptj",
    .title = "GPT-J",
    .prefix = "transformer.",
    .default_targets = llama_targets,
    .idle = idle,
    .heads = llama_heads,
    .task_class = { [TASK_SEQ_CLS] = "GPTJForSequenceClassification",
                    [TASK_CAUSAL_LM] = "GPTJForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "GPTJModel",
                    [TASK_QUESTION_ANS] = "GPTJForQuestionAnswering" },
};

static bool read_sizes(ModelArch *arch, Err *err)
{
    if (!arch_size(arch, "n_embd", 4096, &arch->C, err) || !arch_layers(arch, "n_layer", 28, err) ||
        !arch_size(arch, "n_head", 16, &arch->H, err) || !arch_size(arch, "n_inner", 4 * arch->C, &arch->F, err) ||
        !arch_size(arch, "vocab_size", 50400, &arch->V, err) ||
        !arch_size(arch, "n_positions", 2048, &arch->positions, err) || !arch_heads(arch, "n_embd", "n_head", err) ||
        !arch_size(arch, "rotary_dim", 64, &arch->rotated, err))
        return false;
    return arch->rotated <= arch->D || err_set(err, ERR_INPUT, "rotary_dim %lld is more than a head's size %lld",
                                               (long long)arch->rotated, (long long)arch->D);
}

static bool read(ModelArch *arch, Err *err)
{
    arch_decoder(arch);
    arch->side_by_side = true;
    arch->rope = true;
    arch->rope_neighbours = true;
    return read_sizes(arch, err) && rope_check(arch, err) && arch_norms(arch, "layer_norm_epsilon", 1e-5, err) &&
           arch_tokens(arch, -1, 50256, 50256, err) &&
           arch_activation(arch, "activation_function", "gelu_new", &arch->act, err) &&
           arch_dropout(arch, "embd_pdrop", 0, &arch->embed_dropout, err) &&
           arch_dropout(arch, "resid_pdrop", 0, &arch->hidden_dropout, err) &&
           arch_dropout(arch, "attn_pdrop", 0, &arch->attention_dropout, err) &&
           arch_flag(arch, "tie_word_embeddings", false, &arch->tied, err);
}

static void list(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F;
    const LayerModule modules[] = {
        { "ln_1", ROLE_ATTN_NORM, C, 0, true },          { "attn.k_proj", ROLE_K, C, C, false },
        { "attn.v_proj", ROLE_V, C, C, false },          { "attn.q_proj", ROLE_Q, C, C, false },
        { "attn.out_proj", ROLE_ATTN_OUT, C, C, false }, { "mlp.fc_in", ROLE_FF_UP, F, C, true },
        { "mlp.fc_out", ROLE_FF_DOWN, C, F, true }
    };
    arch_add_table(arch, xstrdup("transformer.wte"), ROLE_WORD, arch->V);
    for (int layer = 0; layer < arch->layers; layer++)
        arch_add_layer(arch, "transformer.h", layer, modules, LENGTH(modules));
    arch_add_norm(arch, xstrdup("transformer.ln_f"), -1, ROLE_FINAL_NORM);
    if (arch->head.task->speaks)
        arch_add_lm_head(arch, true);
    else
        arch_add_head(arch, xstrdup("score"), false);
}

const FamilyReader gptj_reader = { &gptj, keys, read, list };
