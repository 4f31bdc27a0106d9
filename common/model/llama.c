/* Llama, and Mistral and Qwen2, which differ in defaults, biases and windows:
 * rotary positions, pre-norm blocks with RMSNorm, grouped keys and values, a gated
 * MLP. Qwen3, another relative, is qwen3.c. Source of names and defaults: Transformers 5.23,
 * models/{llama,mistral,qwen2}. */
#include "common/model/family.h"

#include "common/base/mem.h"

#define FAMILY(name, class_name, spans, alone)                                                                         \
    static const Family name = {                                                                                       \
        .model_type = #name,                                                                                           \
        .title = class_name,                                                                                           \
        .prefix = "model.",                                                                                            \
        .span_prefix = (spans),                                                                                        \
        .default_targets = llama_targets,                                                                              \
        .idle = llama_idle,                                                                                            \
        .heads = llama_heads,                                                                                          \
        .tokenizer_alone = (alone),                                                                                    \
        .task_class = { [TASK_SEQ_CLS] = (class_name "ForSequenceClassification"),                                     \
                        [TASK_TOKEN_CLS] = (class_name "ForTokenClassification"),                                      \
                        [TASK_CAUSAL_LM] = (class_name "ForCausalLM"),                                                 \
                        [TASK_FEATURE_EXTRACTION] = (class_name "Model"),                                              \
                        [TASK_QUESTION_ANS] = (class_name "ForQuestionAnswering") },                                   \
    }

FAMILY(llama, "Llama", "transformer.", false);
FAMILY(mistral, "Mistral", NULL, true);
FAMILY(qwen2, "Qwen2", "transformer.", false);

static const LlamaDefaults llama_defaults = { 11008, 0, 0, 32000, 2048, -1, 1, 2, .eps = 1e-6 };
static const LlamaDefaults mistral_defaults = { 14336, 8, 0, 32000, 131072, -1, 1, 2, .eps = 1e-6 };
static const LlamaDefaults qwen2_defaults = { 22016, 32, 0, 151936, 32768, -1, -1, -1, .eps = 1e-6 };

static bool read_llama(ModelArch *arch, Err *err)
{
    return llama_read(arch, &llama_defaults, err);
}

static bool read_mistral(ModelArch *arch, Err *err)
{
    int64_t window;
    if (!llama_read(arch, &mistral_defaults, err) || !llama_read_window(arch, 4096, &window, err))
        return false;
    arch->windows = xcalloc((size_t)arch->layers, sizeof *arch->windows);
    for (int64_t l = 0; l < arch->layers; l++)
        arch->windows[l] = window;
    return true;
}

static bool read_qwen2(ModelArch *arch, Err *err)
{
    return llama_read(arch, &qwen2_defaults, err) && llama_read_layer_windows(arch, err);
}

static void list_llama(ModelArch *arch)
{
    const bool attention = arch_says(arch, "attention_bias", false);
    llama_list(
        arch,
        &(LlamaLayer){ .qkv_bias = attention, .out_bias = attention, .mlp_bias = arch_says(arch, "mlp_bias", false) });
}

static void list_mistral(ModelArch *arch)
{
    llama_list(arch, &(LlamaLayer){ 0 });
}

static void list_qwen2(ModelArch *arch)
{
    llama_list(arch, &(LlamaLayer){ .qkv_bias = true });
}

const FamilyReader llama_reader = { &llama, llama_keys, read_llama, list_llama };
const FamilyReader mistral_reader = { &mistral, llama_keys, read_mistral, list_mistral };
const FamilyReader qwen2_reader = { &qwen2, llama_keys, read_qwen2, list_qwen2 };
