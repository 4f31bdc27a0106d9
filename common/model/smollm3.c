/* SmolLM 3: Llama with layers that do not turn, every fourth unless it says otherwise.
 * Source of names and defaults: Transformers 5.23, models/smollm3. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"

/* clang-format off */
static const char *const keys[] = {
    "attention_bias", "attention_dropout", "bos_token_id", "classifier_dropout", "eos_token_id", "hidden_act",
    "hidden_dropout", "hidden_size", "initializer_range", "intermediate_size", "layer_types",
    "max_position_embeddings", "mlp_bias", "no_rope_layer_interval", "no_rope_layers", "num_attention_heads",
    "num_hidden_layers", "num_key_value_heads", "pad_token_id", "rms_norm_eps", "rope_parameters", "rope_scaling",
    "rope_theta", "sliding_window", "tie_word_embeddings", "use_sliding_window", "vocab_size", NULL };
/* clang-format on */

static const Family smollm3 = {
    .model_type = "smollm3",
    .title = "SmolLM 3",
    .prefix = "model.",
    .span_prefix = "transformer.",
    .target_hint = "q_proj, v_proj",
    .idle = llama_idle,
    .heads = llama_heads,
    .task_class = { [TASK_SEQ_CLS] = "SmolLM3ForSequenceClassification",
                    [TASK_TOKEN_CLS] = "SmolLM3ForTokenClassification",
                    [TASK_CAUSAL_LM] = "SmolLM3ForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "SmolLM3Model",
                    [TASK_QUESTION_ANS] = "SmolLM3ForQuestionAnswering" },
};

static const LlamaDefaults defaults = {
    .F = 11008,
    .K = 4,
    .V = 128256,
    .positions = 32768,
    .pad = 128004,
    .bos = 128000,
    .eos = 128001,
    .C = 2048,
    .H = 16,
    .layers = 36,
    .eps = 1e-6,
    .tied = true,
};

/* no_rope_layers says 1 where a layer turns. */
static bool read_turning(ModelArch *arch, Err *err)
{
    const json_t *list = json_object_get(arch->config, "no_rope_layers");
    const int64_t every = json_get_int(arch->config, "no_rope_layer_interval", 4, err);
    const bool listed = list && !json_is_null(list);
    if (err->kind != ERR_NONE)
        return false;
    if (every < 1)
        return err_set(err, ERR_INPUT, "'no_rope_layer_interval' is %lld", (long long)every);
    if (listed && (!json_is_array(list) || (int64_t)json_array_size(list) != arch->layers))
        return err_set(err, ERR_INPUT, "'no_rope_layers' is not a list of %lld numbers", (long long)arch->layers);
    arch->rope_sets = xcalloc((size_t)arch->layers, sizeof *arch->rope_sets);
    for (int64_t l = 0; l < arch->layers; l++) {
        const bool turns = listed ? json_integer_value(json_array_get(list, (size_t)l)) != 0 : (l + 1) % every != 0;
        arch->rope_sets[l] = turns ? 0 : ROPE_STANDS;
    }
    return true;
}

static bool slides(const ModelArch *arch, int64_t layer)
{
    return arch_says(arch, "use_sliding_window", false) && arch->rope_sets[layer] == ROPE_STANDS;
}

static bool read(ModelArch *arch, Err *err)
{
    bool uses;
    const json_t *theta = json_object_get(arch->config, "rope_theta");
    if (!theta || json_is_null(theta))
        json_object_set_new(arch->config, "rope_theta", json_real(2e6));
    return llama_read(arch, &defaults, err) && arch_flag(arch, "use_sliding_window", false, &uses, err) &&
           read_turning(arch, err) && llama_read_windows(arch, 0, slides, err);
}

static void list(ModelArch *arch)
{
    const bool bias = arch_says(arch, "attention_bias", false);
    llama_list(arch,
               &(LlamaLayer){ .qkv_bias = bias, .out_bias = bias, .mlp_bias = arch_says(arch, "mlp_bias", false) });
}

const FamilyReader smollm3_reader = { &smollm3, keys, read, list };
