/* Gemma: Llama's blocks with norms that multiply by 1 + weight, words scaled by the root of the width, tanh-gelu, and
 * heads of a size of their own. Source of names and defaults: Transformers 5.23, models/gemma. */
#include "common/model/family.h"

#include "common/base/json.h"

#include <math.h>
#include <string.h>

static const Family gemma = {
    .model_type = "gemma",
    .title = "Gemma 1",
    .prefix = "model.",
    .default_targets = llama_targets,
    .idle = llama_idle,
    .heads = llama_heads,
    .task_class = { [TASK_SEQ_CLS] = "GemmaForSequenceClassification",
                    [TASK_TOKEN_CLS] = "GemmaForTokenClassification",
                    [TASK_CAUSAL_LM] = "GemmaForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "GemmaModel" },
};

static const LlamaDefaults defaults = {
    .F = 24576,
    .K = 16,
    .D = 256,
    .V = 256000,
    .positions = 8192,
    .pad = 0,
    .bos = 2,
    .eos = 1,
    .C = 3072,
    .H = 16,
    .layers = 28,
    .act = "gelu_pytorch_tanh",
    .eps = 1e-6,
    .tied = true,
};

static bool read(ModelArch *arch, Err *err)
{
    bool both_ways;
    /* what the first folders call gelu means its approximation (configuration_gemma.py) */
    const char *act = json_string_value(json_object_get(arch->config, "hidden_act"));
    if (act && strcmp(act, "gelu") == 0)
        json_object_set_new(arch->config, "hidden_act", json_string("gelu_pytorch_tanh"));
    if (!llama_read(arch, &defaults, err) || !arch_flag(arch, "use_bidirectional_attention", false, &both_ways, err))
        return false;
    arch->gain_from_one = true;
    arch->embed_scale = sqrt((double)arch->C);
    return !both_ways || err_set(err, ERR_INPUT, "a gemma with 'use_bidirectional_attention' is not supported");
}

static void list(ModelArch *arch)
{
    const bool bias = arch_says(arch, "attention_bias", false);
    llama_list(arch, &(LlamaLayer){ .qkv_bias = bias, .out_bias = bias });
}

const FamilyReader gemma_reader = { &gemma, llama_keys, read, list };
