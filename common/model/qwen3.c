/* Qwen3: Llama's blocks with a norm of every head of q and k, heads of a size of their own, and
 * Qwen2's windows. Source of names and defaults: Transformers 5.23, models/qwen3. */
#include "common/model/family.h"

#include "common/base/json.h"

static const Family qwen3 = {
    .model_type = "qwen3",
    .title = "Qwen3",
    .prefix = "model.",
    .span_prefix = "transformer.",
    .default_targets = llama_targets,
    .idle = llama_idle,
    .heads = llama_heads,
    .task_class = { [TASK_SEQ_CLS] = "Qwen3ForSequenceClassification",
                    [TASK_TOKEN_CLS] = "Qwen3ForTokenClassification",
                    [TASK_CAUSAL_LM] = "Qwen3ForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "Qwen3Model",
                    [TASK_QUESTION_ANS] = "Qwen3ForQuestionAnswering" },
};

static const LlamaDefaults defaults = {
    .F = 22016, .K = 32, .D = 128, .V = 151936, .positions = 32768, .pad = -1, .bos = -1, .eos = -1, .eps = 1e-6
};

static bool read(ModelArch *arch, Err *err)
{
    return llama_read(arch, &defaults, err) && llama_read_layer_windows(arch, err);
}

static void list(ModelArch *arch)
{
    const bool bias = json_is_true(json_object_get(arch->config, "attention_bias"));
    llama_list(arch, &(LlamaLayer){ .qkv_bias = bias, .out_bias = bias, .head_norms = HEAD_NORMS_EACH });
}

const FamilyReader qwen3_reader = { &qwen3, llama_keys, read, list };
