/* ModernBERT: every so many layers all keys are seen, between them a window to both sides; each kind turns by frequencies
 * of its own. Source of names and defaults: Transformers 5.23, models/modernbert. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/rope.h"

#include <string.h>

/* clang-format off */
static const char *const keys[] = {
    "attention_bias", "attention_dropout", "bos_token_id", "classifier_activation", "classifier_bias",
    "classifier_dropout", "classifier_pooling", "embedding_dropout", "eos_token_id", "global_attn_every_n_layers",
    "global_rope_theta", "hidden_activation", "hidden_size", "initializer_range", "intermediate_size",
    "layer_types", "local_attention", "local_rope_theta", "max_position_embeddings", "mlp_bias", "mlp_dropout",
    "norm_bias", "norm_eps", "num_attention_heads", "num_hidden_layers", "pad_token_id", "rope_parameters",
    "rope_scaling", "vocab_size", NULL };
/* clang-format on */

static const char *const heads[] = { "decoder.*", "head.*", "classifier.*", NULL };
static const Family modernbert = {
    .model_type = "modernbert",
    .title = "ModernBERT",
    .prefix = "model.",
    .target_hint = "Wqkv, Wo, Wi",
    .heads = heads,
    .task_class = { [TASK_FEATURE_EXTRACTION] = "ModernBertModel",
                    [TASK_SEQ_CLS] = "ModernBertForSequenceClassification",
                    [TASK_TOKEN_CLS] = "ModernBertForTokenClassification",
                    [TASK_QUESTION_ANS] = "ModernBertForQuestionAnswering" },
    .span_head = "classifier",
    .drops_spans = true,
};

static const BertDefaults defaults = { .V = 50368, .positions = 8192, .C = 768, .H = 12, .layers = 22, .F = 1152 };

/* Of keys [i - half, i + half] a window; odd sizes round down. */
static bool read_kinds(ModelArch *arch, Err *err)
{
    int64_t across, every;
    const json_t *types = json_object_get(arch->config, "layer_types");
    if (!arch_size(arch, "local_attention", 128, &across, err) ||
        !arch_size(arch, "global_attn_every_n_layers", 3, &every, err))
        return false;
    arch->windows = xcalloc((size_t)arch->layers, sizeof *arch->windows);
    arch->rope_sets = xcalloc((size_t)arch->layers, sizeof *arch->rope_sets);
    for (int64_t l = 0; l < arch->layers; l++)
        arch->windows[l] = l % every == 0 ? 0 : across / 2 + 1;
    if (types && !json_is_null(types) && !llama_read_layer_types(arch, types, across / 2 + 1, err))
        return false;
    for (int64_t l = 0; l < arch->layers; l++)
        arch->rope_sets[l] = arch->windows[l] > 0 ? 1 : 0;
    rope_read_kinds(arch, (RopeOfLayers){ "global_rope_theta", 160000, true },
                    (RopeOfLayers){ "local_rope_theta", 10000, true });
    return rope_check(arch, err);
}

static bool read_pooling(ModelArch *arch, Err *err)
{
    const char *pooling = json_get_string(arch->config, "classifier_pooling", "cls", err);
    if (err->kind != ERR_NONE)
        return false;
    const bool mean = strcmp(pooling, "mean") == 0;
    arch->head.rows = arch->head.task->of_tokens ? READ_LABELLED : mean ? READ_MEAN : READ_FIRST;
    return mean || strcmp(pooling, "cls") == 0 ||
           err_set(err, ERR_INPUT, "classifier_pooling '%s' is not supported, only 'cls' and 'mean'", pooling);
}

/* Flags that listing the modules asks for again. */
static bool read_flags(ModelArch *arch, Err *err)
{
    static const char *const flags[] = { "norm_bias", "attention_bias", "mlp_bias", "classifier_bias" };
    bool ok = true, is;
    for (size_t i = 0; ok && i < LENGTH(flags); i++)
        ok = arch_flag(arch, flags[i], false, &is, err);
    arch->norm_bare = !arch_says(arch, "norm_bias", false);
    return ok;
}

static bool read(ModelArch *arch, Err *err)
{
    arch->pre_norm = arch->gated = arch->rope = arch->mlp_stays = true;
    if (!bert_read_sizes(arch, &defaults, err) || !read_flags(arch, err) || !read_kinds(arch, err) ||
        !read_pooling(arch, err) || !arch_norms(arch, "norm_eps", 1e-5, err) ||
        !arch_tokens(arch, 50283, 50281, 50282, err) ||
        !arch_activation(arch, "hidden_activation", "gelu", &arch->act, err) ||
        !arch_activation(arch, "classifier_activation", "gelu", &arch->head.pooler_act, err) ||
        !arch_dropout(arch, "embedding_dropout", 0, &arch->embed_dropout, err) ||
        !arch_dropout(arch, "attention_dropout", 0, &arch->attention_dropout, err) ||
        !arch_dropout(arch, "mlp_dropout", 0, &arch->inner_dropout, err) ||
        !arch_dropout(arch, "classifier_dropout", 0, &arch->head.dropout, err))
        return false;
    arch->hidden_dropout = arch->attention_dropout;
    arch->padding_row = arch->pad_id;
    return true;
}

static void list(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F;
    const bool bias = arch_says(arch, "attention_bias", false), mlp = arch_says(arch, "mlp_bias", false);
    arch_add_table(arch, xstrdup("model.embeddings.tok_embeddings"), ROLE_WORD, arch->V);
    arch_add_norm(arch, xstrdup("model.embeddings.norm"), -1, ROLE_EMBED_NORM);
    for (int layer = 0; layer < arch->layers; layer++) {
        const LayerModule modules[] = { { layer > 0 ? "attn_norm" : NULL, ROLE_ATTN_NORM, C, 0, true },
                                        { "attn.Wqkv", ROLE_QKV, 3 * C, C, bias },
                                        { "attn.Wo", ROLE_ATTN_OUT, C, C, bias },
                                        { "mlp_norm", ROLE_FF_NORM, C, 0, true },
                                        { "mlp.Wi", ROLE_GATE_UP, 2 * F, C, mlp },
                                        { "mlp.Wo", ROLE_FF_DOWN, C, F, mlp } };
        arch_add_layer(arch, "model.layers", layer, modules, LENGTH(modules));
    }
    arch_add_norm(arch, xstrdup("model.final_norm"), -1, ROLE_FINAL_NORM);
    arch_add_head_pooler(arch, xstrdup("head.dense"), arch_says(arch, "classifier_bias", false));
    arch_add_head_norm(arch, xstrdup("head.norm"));
    arch_add_head(arch, xstrdup("classifier"), true);
}

const FamilyReader modernbert_reader = { &modernbert, keys, read, list };
