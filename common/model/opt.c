/* OPT: GPT-2's shape with q, k and v apart, relu, and positions from the table's third row on.
 * Source of names and defaults: Transformers 5.23, models/opt. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"

static const char *const default_targets[] = { "q_proj", "v_proj", NULL };

/* clang-format off */
static const char *const keys[] = {
    "activation_function", "attention_dropout", "bos_token_id", "do_layer_norm_before", "dropout", "enable_bias",
    "eos_token_id", "ffn_dim", "hidden_size", "init_std", "layer_norm_elementwise_affine", "layerdrop",
    "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "pad_token_id", "tie_word_embeddings",
    "vocab_size", "word_embed_proj_dim", NULL };
/* clang-format on */

static const char *const idle[] = { NULL };
static const char *const heads[] = { "lm_head.*", "score.*", "qa_outputs.*", NULL };

static const Family opt = {
    .model_type = "opt",
    .title = "OPT",
    .prefix = "model.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "OPTForSequenceClassification",
                    [TASK_CAUSAL_LM] = "OPTForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "OPTModel",
                    [TASK_QUESTION_ANS] = "OPTForQuestionAnswering" },
};

enum { FIRST_ROW = 2 }; /* of the position table (OPTLearnedPositionalEmbedding) */

/* What only opt-350m and folders of old have, and layers that training leaves out. */
static bool check_plain(const ModelArch *arch, Err *err)
{
    bool before, gains, removed;
    int64_t words;
    if (!arch_flag(arch, "do_layer_norm_before", true, &before, err) ||
        !arch_flag(arch, "layer_norm_elementwise_affine", true, &gains, err) ||
        !arch_flag(arch, "_remove_final_layer_norm", false, &removed, err) ||
        !arch_size(arch, "word_embed_proj_dim", arch->C, &words, err) || !arch_no_layerdrop(arch, "layerdrop", err))
        return false;
    if (!before || !gains || removed || words != arch->C)
        return err_set(err, ERR_INPUT, "an opt with %s is not supported",
                       !before   ? "'do_layer_norm_before' false"
                       : !gains  ? "'layer_norm_elementwise_affine' false"
                       : removed ? "'_remove_final_layer_norm'"
                                 : "a 'word_embed_proj_dim' that is not hidden_size");
    return true;
}

static bool read_sizes(ModelArch *arch, Err *err)
{
    return arch_size(arch, "hidden_size", 768, &arch->C, err) && arch_layers(arch, "num_hidden_layers", 12, err) &&
           arch_size(arch, "num_attention_heads", 12, &arch->H, err) &&
           arch_size(arch, "ffn_dim", 3072, &arch->F, err) && arch_size(arch, "vocab_size", 50272, &arch->V, err) &&
           arch_size(arch, "max_position_embeddings", 2048, &arch->positions, err) &&
           arch_heads(arch, "hidden_size", "num_attention_heads", err);
}

static bool read(ModelArch *arch, Err *err)
{
    bool bias;
    arch->pre_norm = true;
    arch->causal = true;
    arch->norm_eps = 1e-5;
    arch->position_offset = FIRST_ROW;
    arch->head.rows = arch->head.task->of_tokens ? READ_LABELLED : READ_LAST;
    if (!read_sizes(arch, err) || !check_plain(arch, err) || !arch_initializer(arch, "init_std", err) ||
        !arch_tokens(arch, 1, 2, 2, err) || !arch_activation(arch, "activation_function", "relu", &arch->act, err) ||
        !arch_dropout(arch, "dropout", 0.1, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_dropout", 0, &arch->attention_dropout, err))
        return false;
    arch->padding_row = arch->pad_id;
    return arch_flag(arch, "enable_bias", true, &bias, err) &&
           arch_flag(arch, "tie_word_embeddings", true, &arch->tied, err);
}

static void list_layer(ModelArch *arch, int layer, bool bias)
{
    const int64_t C = arch->C, F = arch->F;
    const struct {
        const char *name;
        Role role;
        int64_t out, in; /* in 0: a norm */
    } modules[] = { { "self_attn.k_proj", ROLE_K, C, C },
                    { "self_attn.v_proj", ROLE_V, C, C },
                    { "self_attn.q_proj", ROLE_Q, C, C },
                    { "self_attn.out_proj", ROLE_ATTN_OUT, C, C },
                    { "self_attn_layer_norm", ROLE_ATTN_NORM, C, 0 },
                    { "fc1", ROLE_FF_UP, F, C },
                    { "fc2", ROLE_FF_DOWN, C, F },
                    { "final_layer_norm", ROLE_FF_NORM, C, 0 } };
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        char *path = xprintf("model.decoder.layers.%d.%s", layer, modules[i].name);
        if (modules[i].in == 0)
            arch_add_norm(arch, path, layer, modules[i].role);
        else
            arch_add_linear(arch, path, layer, modules[i].role, modules[i].out, modules[i].in, bias);
    }
}

static void list(ModelArch *arch)
{
    const json_t *bias = json_object_get(arch->config, "enable_bias");
    arch_add_table(arch, xstrdup("model.decoder.embed_tokens"), ROLE_WORD, arch->V);
    arch_add_table(arch, xstrdup("model.decoder.embed_positions"), ROLE_POSITION, arch->positions + FIRST_ROW);
    arch_add_norm(arch, xstrdup("model.decoder.final_layer_norm"), -1, ROLE_FINAL_NORM);
    for (int layer = 0; layer < arch->layers; layer++)
        list_layer(arch, layer, !json_is_false(bias));
    if (arch->head.task->speaks)
        arch_add_lm_head(arch, false);
    else
        arch_add_head(arch, xstrdup("score"), false);
}

const FamilyReader opt_reader = { &opt, keys, read, list };
