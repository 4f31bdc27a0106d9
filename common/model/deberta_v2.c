/* DeBERTa v2 and v3: distances in buckets, whose table may be normalised and projected by the weights of tokens; v2's
 * larger ones have a convolution behind the first block.
 * Source of names and defaults: Transformers 5.23, models/deberta_v2. */
#include "common/model/deberta.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <string.h>

static const char *const default_targets[] = { "query_proj", "value_proj", NULL };

static const Family deberta_v2 = {
    .model_type = "deberta-v2",
    .title = "DeBERTa v2 and v3",
    .prefix = "deberta.",
    .default_targets = default_targets,
    .idle = deberta_idle,
    .heads = deberta_heads,
    .task_class = { [TASK_SEQ_CLS] = "DebertaV2ForSequenceClassification",
                    [TASK_TOKEN_CLS] = "DebertaV2ForTokenClassification",
                    [TASK_FEATURE_EXTRACTION] = "DebertaV2Model",
                    [TASK_QUESTION_ANS] = "DebertaV2ForQuestionAnswering" },
};

static const BertDefaults defaults = {
    .V = 128100,
    .positions = 512,
    .C = 1536,
    .H = 24,
    .layers = 24,
    .F = 6144,
    .eps = 1e-7,
    .dropout = 0.1,
};

/* "none", or "layer_norm". */
static bool normalises(const ModelArch *arch)
{
    const char *norm = json_string_value(json_object_get(arch->config, "norm_rel_ebd"));
    return norm && strcasecmp(norm, "layer_norm") == 0;
}

static bool read_conv(ModelArch *arch, Err *err)
{
    const int64_t kernel = json_get_int(arch->config, "conv_kernel_size", 0, err);
    const int64_t groups = json_get_int(arch->config, "conv_groups", 1, err);
    if (err->kind != ERR_NONE || !arch_activation(arch, "conv_act", "tanh", &arch->conv_act, err))
        return false;
    arch->conv_kernel = kernel;
    if (kernel < 0 || kernel > 255 || (kernel > 0 && kernel % 2 == 0))
        return err_set(err, ERR_INPUT, "'conv_kernel_size' is %lld, allowed are odd numbers and 0", (long long)kernel);
    if (kernel > 0 && (groups != 1 || arch->layers < 2))
        return err_set(err, ERR_INPUT,
                       "a convolution with 'conv_groups' %lld behind the first of %lld layers is not "
                       "supported",
                       (long long)groups, (long long)arch->layers);
    return true;
}

static bool read(ModelArch *arch, Err *err)
{
    bool shared;
    const char *norm = json_get_string(arch->config, "norm_rel_ebd", "none", err);
    if (err->kind != ERR_NONE || !deberta_read(arch, &defaults, err) ||
        !arch_flag(arch, "share_att_key", false, &shared, err) || !read_conv(arch, err))
        return false;
    return strcasecmp(norm, "none") == 0 || normalises(arch) ||
           err_set(err, ERR_INPUT, "norm_rel_ebd '%s' is not supported, only 'none' and 'layer_norm'", norm);
}

static void list_layers(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F;
    const bool own = arch->distance_span > 0 && !arch_says(arch, "share_att_key", false);
    const char *keys = own && arch->distance_keys ? "attention.self.pos_key_proj" : NULL;
    const char *queries = own && arch->distance_queries ? "attention.self.pos_query_proj" : NULL;
    const LayerModule modules[] = { { "attention.self.query_proj", ROLE_Q, C, C, true },
                                    { "attention.self.key_proj", ROLE_K, C, C, true },
                                    { "attention.self.value_proj", ROLE_V, C, C, true },
                                    { keys, ROLE_DISTANCE_K, C, C, true },
                                    { queries, ROLE_DISTANCE_Q, C, C, true },
                                    { "attention.output.dense", ROLE_ATTN_OUT, C, C, true },
                                    { "attention.output.LayerNorm", ROLE_ATTN_NORM, C, 0, true },
                                    { "intermediate.dense", ROLE_FF_UP, F, C, true },
                                    { "output.dense", ROLE_FF_DOWN, C, F, true },
                                    { "output.LayerNorm", ROLE_FF_NORM, C, 0, true } };
    for (int layer = 0; layer < arch->layers; layer++)
        arch_add_layer(arch, "deberta.encoder.layer", layer, modules, LENGTH(modules));
}

static void list(ModelArch *arch)
{
    deberta_list_tables(arch);
    list_layers(arch);
    deberta_list_distances(arch);
    if (normalises(arch))
        arch_add_norm(arch, xstrdup("deberta.encoder.LayerNorm"), -1, ROLE_DISTANCE_NORM);
    if (arch->conv_kernel > 0) {
        arch_add(arch, xstrdup("deberta.encoder.conv.conv"),
                 &(Module){ .kind = MODULE_CONV,
                            .role = ROLE_CONV,
                            .layer = -1,
                            .out = arch->C,
                            .in = arch->C * arch->conv_kernel,
                            .bias = true });
        arch_add_norm(arch, xstrdup("deberta.encoder.conv.LayerNorm"), -1, ROLE_CONV_NORM);
    }
    deberta_list_head(arch);
}

const FamilyReader deberta_v2_reader = { &deberta_v2, deberta_keys, read, list };
