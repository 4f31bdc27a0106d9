/* ViT: patches of an image behind a class row, pre-norm blocks, a head that reads
 * the class row. Modules have Transformers 5's names; model files, and adapters of
 * before, have those of Transformers 4 (renames).
 * Source of names and defaults: Transformers 5.23, models/vit. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* clang-format off */
static const char *const keys[] = {
    "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "image_size",
    "initializer_range", "intermediate_size", "layer_norm_eps", "num_attention_heads", "num_channels",
    "num_hidden_layers", "patch_size", "qkv_bias", NULL };
/* clang-format on */

static const Rename renames[] = {
    { "vit.layers.", "vit.encoder.layer." },
    { ".attention.q_proj", ".attention.attention.query" },
    { ".attention.k_proj", ".attention.attention.key" },
    { ".attention.v_proj", ".attention.attention.value" },
    { ".attention.o_proj", ".attention.output.dense" },
    { ".mlp.fc1", ".intermediate.dense" },
    { ".mlp.fc2", ".output.dense" },
    { NULL, NULL },
};

static const char *const idle[] = { "pooler.*", "embeddings.mask_token", NULL };
static const char *const heads[] = { "classifier.*", "decoder.*", NULL };

static const Family vit = {
    .model_type = "vit",
    .title = "ViT",
    .prefix = "vit.",
    .renames = renames,
    .target_hint = "q_proj, v_proj",
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_IMAGE_CLS] = "ViTForImageClassification" },
};

static bool read(ModelArch *arch, Err *err)
{
    bool bias;
    arch->pre_norm = true;
    arch->head.rows = READ_FIRST;
    arch->pad_id = arch->bos_id = arch->eos_id = arch->padding_row = -1;
    if (!arch_size(arch, "hidden_size", 768, &arch->C, err) || !arch_layers(arch, "num_hidden_layers", 12, err) ||
        !arch_size(arch, "num_attention_heads", 12, &arch->H, err) ||
        !arch_size(arch, "intermediate_size", 3072, &arch->F, err) ||
        !arch_heads(arch, "hidden_size", "num_attention_heads", err) || !arch_image(arch, 224, 16, err) ||
        !arch_norms(arch, "layer_norm_eps", 1e-12, err) ||
        !arch_activation(arch, "hidden_act", "gelu", &arch->act, err) ||
        !arch_flag(arch, "qkv_bias", true, &bias, err) ||
        !arch_dropout(arch, "hidden_dropout_prob", 0.0, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_probs_dropout_prob", 0.0, &arch->attention_dropout, err))
        return false;
    arch->embed_dropout = arch->hidden_dropout;
    return true;
}

static void add_rows(ModelArch *arch, const char *path, Role role, int64_t rows)
{
    arch_add(arch, xstrdup(path),
             &(Module){ .kind = MODULE_TENSOR, .role = role, .layer = -1, .out = rows, .in = arch->C });
}

static void list_layer(ModelArch *arch, int layer, bool bias)
{
    const int64_t C = arch->C, F = arch->F;
    const LayerModule modules[] = { { "attention.q_proj", ROLE_Q, C, C, bias },
                                    { "attention.k_proj", ROLE_K, C, C, bias },
                                    { "attention.v_proj", ROLE_V, C, C, bias },
                                    { "attention.o_proj", ROLE_ATTN_OUT, C, C, true },
                                    { "layernorm_before", ROLE_ATTN_NORM, C, 0, true },
                                    { "layernorm_after", ROLE_FF_NORM, C, 0, true },
                                    { "mlp.fc1", ROLE_FF_UP, F, C, true },
                                    { "mlp.fc2", ROLE_FF_DOWN, C, F, true } };
    arch_add_layer(arch, "vit.layers", layer, modules, LENGTH(modules));
}

static void list(ModelArch *arch)
{
    const bool bias = !json_is_false(json_object_get(arch->config, "qkv_bias"));
    add_rows(arch, "vit.embeddings.cls_token", ROLE_CLS, 1);
    add_rows(arch, "vit.embeddings.position_embeddings", ROLE_POSITION, arch->positions);
    arch_add(arch, xstrdup("vit.embeddings.patch_embeddings.projection"),
             &(Module){ .kind = MODULE_CONV,
                        .role = ROLE_PATCH,
                        .layer = -1,
                        .out = arch->C,
                        .in = arch->channels * arch->patch * arch->patch,
                        .bias = true });
    for (int layer = 0; layer < arch->layers; layer++)
        list_layer(arch, layer, bias);
    arch_add_norm(arch, xstrdup("vit.layernorm"), -1, ROLE_FINAL_NORM);
    arch_add_head(arch, xstrdup("classifier"), true);
}

const FamilyReader vit_reader = { &vit, keys, read, list };
