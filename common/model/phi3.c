/* Phi-3, Phi-3.5 and Phi-4(-mini): Llama's blocks with q, k and v in one product and gate and up in another, windows
 * in all layers, and frequencies of two kinds, for short batches and for long.
 * Source of names and defaults: Transformers 5.23, models/phi3. */
#include "common/model/family.h"

#include "common/base/json.h"

#include <string.h>

/* clang-format off */
static const char *const keys[] = {
    "attention_bias", "attention_dropout", "bos_token_id", "classifier_dropout", "embd_pdrop", "eos_token_id",
    "hidden_act", "hidden_dropout", "hidden_size", "initializer_range", "intermediate_size",
    "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "num_key_value_heads",
    "original_max_position_embeddings", "pad_token_id", "partial_rotary_factor", "resid_pdrop", "rms_norm_eps",
    "rope_parameters", "rope_scaling", "rope_theta", "sliding_window", "tie_word_embeddings", "vocab_size", NULL };
/* clang-format on */

static const Family phi3 = {
    .model_type = "phi3",
    .title = "Phi 3 and 4",
    .prefix = "model.",
    .target_hint = "qkv_proj, o_proj, gate_up_proj, down_proj",
    .idle = llama_idle,
    .heads = llama_heads,
    .tokenizer_alone = true,
    .task_class = { [TASK_SEQ_CLS] = "Phi3ForSequenceClassification",
                    [TASK_TOKEN_CLS] = "Phi3ForTokenClassification",
                    [TASK_CAUSAL_LM] = "Phi3ForCausalLM",
                    [TASK_FEATURE_EXTRACTION] = "Phi3Model" },
};

static const LlamaDefaults defaults = {
    .F = 8192,
    .V = 32064,
    .positions = 4096,
    .pad = 32000,
    .bos = 1,
    .eos = 32000,
    .C = 3072,
    .eps = 1e-5,
    .part = 1,
};

/* All names that the kind has had are one, and its original length has a default beside it. */
static void name_longrope(ModelArch *arch)
{
    static const char *const names[] = { "rope_type", "type" };
    json_t *from = json_object_get(arch->config, "rope_scaling");
    if (json_object_size(from) == 0)
        from = json_object_get(arch->config, "rope_parameters");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *kind = json_string_value(json_object_get(from, names[i]));
        if (kind && (strcmp(kind, "su") == 0 || strcmp(kind, "yarn") == 0))
            json_object_set_new(from, names[i], json_string("longrope"));
    }
    if (!json_object_get(arch->config, "original_max_position_embeddings"))
        json_object_set_new(arch->config, "original_max_position_embeddings", json_integer(defaults.positions));
}

static bool slides(const ModelArch *arch, int64_t layer)
{
    (void)arch;
    (void)layer;
    return true;
}

/* embd_pdrop is read by Transformers, and used by nobody. */
static bool read(ModelArch *arch, Err *err)
{
    name_longrope(arch);
    return llama_read(arch, &defaults, err) && llama_read_windows(arch, 0, slides, err) &&
           arch_dropout(arch, "resid_pdrop", 0, &arch->hidden_dropout, err);
}

static void list(ModelArch *arch)
{
    llama_list(arch, &(LlamaLayer){ .fused = true });
}

const FamilyReader phi3_reader = { &phi3, keys, read, list };
