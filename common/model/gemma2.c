/* Gemma 2: Gemma with norms before and behind each body, caps of scores and of logits, and a window in every other
 * layer. Source of names and defaults: Transformers 5.23, models/gemma2. */
#include "common/model/family.h"

#include "common/base/mem.h"

#include <math.h>

/* clang-format off */
static const char *const keys[] = {
    "attention_bias", "attention_dropout", "attn_logit_softcapping", "bos_token_id", "classifier_dropout",
    "eos_token_id", "final_logit_softcapping", "head_dim", "hidden_activation", "hidden_dropout", "hidden_size",
    "initializer_range", "intermediate_size", "layer_types", "max_position_embeddings", "num_attention_heads",
    "num_hidden_layers", "num_key_value_heads", "pad_token_id", "query_pre_attn_scalar", "rms_norm_eps",
    "rope_parameters", "rope_scaling", "rope_theta", "sliding_window", "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const Family gemma2 = {
    .model_type = "gemma2",
    .title = "Gemma 2",
    .prefix = "model.",
    .default_targets = llama_targets,
    .idle = llama_idle,
    .heads = llama_heads,
    .task_class = { [TASK_SEQ_CLS] = "Gemma2ForSequenceClassification",
                    [TASK_TOKEN_CLS] = "Gemma2ForTokenClassification",
                    [TASK_CAUSAL_LM] = "Gemma2ForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "Gemma2Model" },
};

static const LlamaDefaults defaults = {
    .F = 9216,
    .K = 4,
    .D = 256,
    .V = 256000,
    .positions = 8192,
    .pad = 0,
    .bos = 2,
    .eos = 1,
    .C = 2304,
    .H = 8,
    .layers = 26,
    .act_key = "hidden_activation",
    .act = "gelu_pytorch_tanh",
    .eps = 1e-6,
    .tied = true,
};

static bool slides(const ModelArch *arch, int64_t layer)
{
    (void)arch;
    return layer % 2 == 0;
}

static bool read(ModelArch *arch, Err *err)
{
    bool both_ways;
    double scalar;
    if (!llama_read(arch, &defaults, err) || !llama_read_windows(arch, 4096, slides, err) ||
        !arch_factor(arch, "query_pre_attn_scalar", 256, &scalar, err) ||
        !arch_cap(arch, "attn_logit_softcapping", 50, &arch->score_cap, err) ||
        !arch_cap(arch, "final_logit_softcapping", 30, &arch->logit_cap, err) ||
        !arch_flag(arch, "use_bidirectional_attention", false, &both_ways, err))
        return false;
    for (int64_t l = 0; l < arch->layers; l++)
        arch->scales[l] = 1 / sqrt(scalar);
    arch->gain_from_one = true;
    arch->embed_scale = sqrt((double)arch->C);
    return !both_ways || err_set(err, ERR_INPUT, "a gemma2 with 'use_bidirectional_attention' is not supported");
}

static void list(ModelArch *arch)
{
    const bool bias = arch_says(arch, "attention_bias", false);
    llama_list(arch, &(LlamaLayer){ .qkv_bias = bias, .out_bias = bias, .norms = LLAMA_AROUND });
}

const FamilyReader gemma2_reader = { &gemma2, keys, read, list };
