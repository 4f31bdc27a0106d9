/* BERT: learned positions, post-norm blocks, a tanh pooler over the first token.
 * Source of names and defaults: Transformers 5.23, models/bert. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"

#include <string.h>

static const char *const default_targets[] = { "query", "value", NULL };

static const char *const keys[] = { "attention_probs_dropout_prob",
                                    "classifier_dropout",
                                    "hidden_act",
                                    "hidden_dropout_prob",
                                    "hidden_size",
                                    "initializer_range",
                                    "intermediate_size",
                                    "layer_norm_eps",
                                    "max_position_embeddings",
                                    "num_attention_heads",
                                    "num_hidden_layers",
                                    "pad_token_id",
                                    "position_embedding_type",
                                    "type_vocab_size",
                                    "vocab_size",
                                    NULL };

static const Family bert = {
    .model_type = "bert",
    .prefix = "bert.",
    .default_targets = default_targets,
    .task_class = { [TASK_SEQ_CLS] = "BertForSequenceClassification",
                    [TASK_TOKEN_CLS] = "BertForTokenClassification" },
};

static bool read_sizes(ModelArch *arch, Err *err)
{
    if (!arch_size(arch, "hidden_size", 768, &arch->C, err) ||
        !arch_size(arch, "num_hidden_layers", 12, &arch->layers, err) ||
        !arch_size(arch, "num_attention_heads", 12, &arch->H, err) ||
        !arch_size(arch, "intermediate_size", 3072, &arch->F, err) ||
        !arch_size(arch, "vocab_size", 30522, &arch->V, err) ||
        !arch_size(arch, "max_position_embeddings", 512, &arch->positions, err) ||
        !arch_size(arch, "type_vocab_size", 2, &arch->types, err))
        return false;
    if (arch->C % arch->H != 0)
        return err_set(err, ERR_INPUT,
                       "hidden_size %lld is no multiple of num_attention_heads %lld",
                       (long long)arch->C, (long long)arch->H);
    arch->D = arch->C / arch->H;
    arch->K = arch->H;
    return true;
}

/* Only what changes the numbers: a decoder BERT attends causally, and relative
 * positions add a term to each score. */
static bool check_kind(const ModelArch *arch, Err *err)
{
    const json_t *config = arch->config;
    const char *positions = json_get_string(config, "position_embedding_type", "absolute", err);
    const bool decoder = json_get_bool(config, "is_decoder", false, err);
    const bool cross = json_get_bool(config, "add_cross_attention", false, err);
    if (err->kind != ERR_NONE)
        return false;
    if (strcmp(positions, "absolute") != 0)
        return err_set(err, ERR_INPUT,
                       "position_embedding_type '%s' is not supported, only 'absolute'", positions);
    if (decoder || cross)
        return err_set(err, ERR_INPUT, "a BERT with '%s' is not supported",
                       decoder ? "is_decoder" : "add_cross_attention");
    return true;
}

static bool read(ModelArch *arch, Err *err)
{
    const json_t *config = arch->config;
    if (!read_sizes(arch, err) || !check_kind(arch, err))
        return false;
    arch->norm_eps = json_get_real(config, "layer_norm_eps", 1e-12, err);
    arch->initializer_range = json_get_real(config, "initializer_range", 0.02, err);
    /* null: no row of the table is without a gradient */
    arch->pad_id = json_is_null(json_object_get(config, "pad_token_id"))
                       ? -1
                       : json_get_int(config, "pad_token_id", 0, err);
    if (err->kind != ERR_NONE)
        return false;
    if (!(arch->norm_eps > 0) || !(arch->initializer_range >= 0))
        return err_set(err, ERR_INPUT, "'%s' is out of range",
                       arch->norm_eps > 0 ? "initializer_range" : "layer_norm_eps");
    return arch_activation(arch, "hidden_act", "gelu", &arch->act, err) &&
           arch_dropout(arch, "hidden_dropout_prob", 0.1, &arch->hidden_dropout, err) &&
           arch_dropout(arch, "attention_probs_dropout_prob", 0.1, &arch->attention_dropout, err) &&
           arch_dropout(arch, "classifier_dropout", arch->hidden_dropout, &arch->head_dropout, err);
}

static void add_embedding(ModelArch *arch, const char *name, Role role, int64_t rows)
{
    arch_add(arch, xprintf("bert.embeddings.%s", name),
             &(Module){
                 .kind = MODULE_EMBEDDING, .role = role, .layer = -1, .out = rows, .in = arch->C });
}

static void add_linear(ModelArch *arch, int layer, const char *name, Role role, int64_t out,
                       int64_t in)
{
    arch_add(arch, xprintf("bert.encoder.layer.%d.%s", layer, name),
             &(Module){ .kind = MODULE_LINEAR,
                        .role = role,
                        .layer = layer,
                        .out = out,
                        .in = in,
                        .bias = true });
}

static void add_norm(ModelArch *arch, char *path, int layer, Role role)
{
    arch_add(arch, path,
             &(Module){
                 .kind = MODULE_NORM, .role = role, .layer = layer, .out = arch->C, .bias = true });
}

static void list_layer(ModelArch *arch, int layer)
{
    const int64_t C = arch->C, F = arch->F;
    add_linear(arch, layer, "attention.self.query", ROLE_Q, C, C);
    add_linear(arch, layer, "attention.self.key", ROLE_K, C, C);
    add_linear(arch, layer, "attention.self.value", ROLE_V, C, C);
    add_linear(arch, layer, "attention.output.dense", ROLE_ATTN_OUT, C, C);
    add_norm(arch, xprintf("bert.encoder.layer.%d.attention.output.LayerNorm", layer), layer,
             ROLE_ATTN_NORM);
    add_linear(arch, layer, "intermediate.dense", ROLE_FF_UP, F, C);
    add_linear(arch, layer, "output.dense", ROLE_FF_DOWN, C, F);
    add_norm(arch, xprintf("bert.encoder.layer.%d.output.LayerNorm", layer), layer, ROLE_FF_NORM);
}

static void list(ModelArch *arch)
{
    add_embedding(arch, "word_embeddings", ROLE_WORD, arch->V);
    add_embedding(arch, "position_embeddings", ROLE_POSITION, arch->positions);
    add_embedding(arch, "token_type_embeddings", ROLE_TYPE, arch->types);
    add_norm(arch, xstrdup("bert.embeddings.LayerNorm"), -1, ROLE_EMBED_NORM);
    for (int layer = 0; layer < arch->layers; layer++)
        list_layer(arch, layer);
    if (arch->task == TASK_SEQ_CLS) /* BertForTokenClassification has no pooler */
        arch_add(arch, xstrdup("bert.pooler.dense"),
                 &(Module){ .kind = MODULE_LINEAR,
                            .role = ROLE_POOLER,
                            .layer = -1,
                            .out = arch->C,
                            .in = arch->C,
                            .bias = true });
    arch_add(arch, xstrdup("classifier"),
             &(Module){ .kind = MODULE_LINEAR,
                        .role = ROLE_HEAD,
                        .layer = -1,
                        .out = arch->labels,
                        .in = arch->C,
                        .bias = true,
                        .is_new = true });
}

const FamilyReader bert_reader = { &bert, keys, read, list };
