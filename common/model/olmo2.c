/* OLMo 2: Llama with norms behind what sublayers give instead of before them, and norms of all heads of q and of k
 * together. Source of names and defaults: Transformers 5.23, models/olmo2. */
#include "common/model/family.h"

static const Family olmo2 = {
    .model_type = "olmo2",
    .title = "OLMo 2",
    .prefix = "model.",
    .target_hint = "q_proj, v_proj",
    .idle = llama_idle,
    .heads = llama_heads,
    .tokenizer_alone = true,
    .task_class = { [TASK_SEQ_CLS] = "Olmo2ForSequenceClassification",
                    [TASK_CAUSAL_LM] = "Olmo2ForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "Olmo2Model" },
};

static const LlamaDefaults defaults = {
    .F = 11008, .V = 50304, .positions = 2048, .pad = 1, .bos = -1, .eos = 50279, .eps = 1e-5
};

static bool read(ModelArch *arch, Err *err)
{
    return llama_read(arch, &defaults, err);
}

static void list(ModelArch *arch)
{
    const bool bias = arch_says(arch, "attention_bias", false);
    llama_list(
        arch,
        &(LlamaLayer){ .qkv_bias = bias, .out_bias = bias, .head_norms = HEAD_NORMS_TOGETHER, .norms = LLAMA_BEHIND });
}

const FamilyReader olmo2_reader = { &olmo2, llama_keys, read, list };
