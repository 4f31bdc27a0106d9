/* ViT: patches of an image behind a class row, pre-norm blocks, a head that reads
 * the class row. Modules have Transformers 5's names; model files, and adapters of
 * before, have those of Transformers 4 (renames).
 * Source of names and defaults: Transformers 5.23, models/vit. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static const char *const keys[] = { "attention_probs_dropout_prob",
                                    "hidden_act",
                                    "hidden_dropout_prob",
                                    "hidden_size",
                                    "image_size",
                                    "initializer_range",
                                    "intermediate_size",
                                    "layer_norm_eps",
                                    "num_attention_heads",
                                    "num_channels",
                                    "num_hidden_layers",
                                    "patch_size",
                                    "qkv_bias",
                                    NULL };

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
    .prefix = "vit.",
    .renames = renames,
    .target_hint = "q_proj, v_proj",
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_IMAGE_CLS] = "ViTForImageClassification" },
};

/* A number, or two equal ones. */
static bool read_square(const ModelArch *arch, const char *key, int64_t fallback, int64_t *out, Err *err)
{
    const json_t *value = json_object_get(arch->config, key);
    if (!json_is_array(value))
        return arch_size(arch, key, fallback, out, err);
    *out = json_integer_value(json_array_get(value, 0));
    if (json_array_size(value) == 2 && *out == json_integer_value(json_array_get(value, 1)) && *out > 0 &&
        *out <= 65536)
        return true;
    return err_set(err, ERR_INPUT, "'%s' is neither a number nor two equal ones", key);
}

static bool read_image(ModelArch *arch, Err *err)
{
    if (!read_square(arch, "image_size", 224, &arch->image_size, err) ||
        !read_square(arch, "patch_size", 16, &arch->patch, err) ||
        !arch_size(arch, "num_channels", 3, &arch->channels, err))
        return false;
    if (arch->channels != 3) {
        err_set(err, ERR_INPUT, "num_channels %lld is not supported", (long long)arch->channels);
        return err_hint(err, "images are read as red, green and blue: take a model of three channels");
    }
    if (arch->image_size % arch->patch != 0 || arch->image_size / arch->patch > 1024)
        return err_set(err, ERR_INPUT, "images of %lld pixels in patches of %lld are not supported",
                       (long long)arch->image_size, (long long)arch->patch);
    const int64_t side = arch->image_size / arch->patch;
    arch->positions = side * side + 1;
    return true;
}

static bool read(ModelArch *arch, Err *err)
{
    bool bias;
    arch->pre_norm = true;
    arch->head.rows = READ_FIRST;
    arch->pad_id = arch->bos_id = arch->eos_id = arch->padding_row = -1;
    if (!arch_size(arch, "hidden_size", 768, &arch->C, err) || !arch_layers(arch, "num_hidden_layers", 12, err) ||
        !arch_size(arch, "num_attention_heads", 12, &arch->H, err) ||
        !arch_size(arch, "intermediate_size", 3072, &arch->F, err) ||
        !arch_heads(arch, "hidden_size", "num_attention_heads", err) || !read_image(arch, err) ||
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

static char *name(int layer, const char *rest)
{
    return xprintf("vit.layers.%d.%s", layer, rest);
}

static void list_layer(ModelArch *arch, int layer, bool bias)
{
    const int64_t C = arch->C, F = arch->F;
    arch_add_linear(arch, name(layer, "attention.q_proj"), layer, ROLE_Q, C, C, bias);
    arch_add_linear(arch, name(layer, "attention.k_proj"), layer, ROLE_K, C, C, bias);
    arch_add_linear(arch, name(layer, "attention.v_proj"), layer, ROLE_V, C, C, bias);
    arch_add_linear(arch, name(layer, "attention.o_proj"), layer, ROLE_ATTN_OUT, C, C, true);
    arch_add_norm(arch, name(layer, "layernorm_before"), layer, ROLE_ATTN_NORM);
    arch_add_norm(arch, name(layer, "layernorm_after"), layer, ROLE_FF_NORM);
    arch_add_linear(arch, name(layer, "mlp.fc1"), layer, ROLE_FF_UP, F, C, true);
    arch_add_linear(arch, name(layer, "mlp.fc2"), layer, ROLE_FF_DOWN, C, F, true);
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
