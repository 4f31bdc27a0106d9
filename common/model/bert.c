/* BERT: learned positions, post-norm blocks, a tanh pooler over the first token.
 * Source of names and defaults: Transformers 5.23, models/bert. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <string.h>

static const char *const default_targets[] = { "query", "value", NULL };

const char *const bert_keys[] = { "attention_probs_dropout_prob",
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

static const char *const idle[] = { "pooler.*", "embeddings.position_ids", NULL };
static const char *const heads[] = { "cls.*", "classifier.*", "qa_outputs.*", NULL };

static const Family bert = {
    .model_type = "bert",
    .prefix = "bert.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "BertForSequenceClassification", [TASK_TOKEN_CLS] = "BertForTokenClassification" },
};

static bool read_sizes(ModelArch *arch, int64_t words, Err *err)
{
    return arch_size(arch, "hidden_size", 768, &arch->C, err) && arch_layers(arch, "num_hidden_layers", 12, err) &&
           arch_size(arch, "num_attention_heads", 12, &arch->H, err) &&
           arch_size(arch, "intermediate_size", 3072, &arch->F, err) &&
           arch_size(arch, "vocab_size", words, &arch->V, err) &&
           arch_size(arch, "max_position_embeddings", 512, &arch->positions, err) &&
           arch_size(arch, "type_vocab_size", 2, &arch->types, err) &&
           arch_heads(arch, "hidden_size", "num_attention_heads", err);
}

/* Relative positions add a term to each score. */
static bool check_positions(const ModelArch *arch, Err *err)
{
    const char *kind = json_get_string(arch->config, "position_embedding_type", "absolute", err);
    if (err->kind != ERR_NONE || strcmp(kind, "absolute") == 0)
        return err->kind == ERR_NONE;
    return err_set(err, ERR_INPUT, "position_embedding_type '%s' is not supported, only 'absolute'", kind);
}

bool bert_read(ModelArch *arch, int64_t words, Err *err)
{
    arch->head.rows = arch->head.task->of_tokens ? READ_LABELLED : READ_FIRST;
    arch->head.pooler_act = ACT_TANH;
    if (!read_sizes(arch, words, err) || !check_positions(arch, err) || !arch_no_decoder(arch, err) ||
        !arch_norms(arch, "layer_norm_eps", 1e-12, err) ||
        !arch_activation(arch, "hidden_act", "gelu", &arch->act, err) ||
        !arch_dropout(arch, "hidden_dropout_prob", 0.1, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_probs_dropout_prob", 0.1, &arch->attention_dropout, err) ||
        !arch_dropout(arch, "classifier_dropout", arch->hidden_dropout, &arch->head.dropout, err))
        return false;
    arch->embed_dropout = arch->hidden_dropout;
    return true;
}

static bool read(ModelArch *arch, Err *err)
{
    if (!bert_read(arch, 30522, err) || !arch_tokens(arch, 0, -1, -1, err))
        return false;
    arch->padding_row = arch->pad_id;
    return true;
}

static char *name(const ModelArch *arch, int layer, const char *rest)
{
    return xprintf("%sencoder.layer.%d.%s", arch->family->prefix, layer, rest);
}

static void list_layer(ModelArch *arch, int layer)
{
    const int64_t C = arch->C, F = arch->F;
    arch_add_linear(arch, name(arch, layer, "attention.self.query"), layer, ROLE_Q, C, C, true);
    arch_add_linear(arch, name(arch, layer, "attention.self.key"), layer, ROLE_K, C, C, true);
    arch_add_linear(arch, name(arch, layer, "attention.self.value"), layer, ROLE_V, C, C, true);
    arch_add_linear(arch, name(arch, layer, "attention.output.dense"), layer, ROLE_ATTN_OUT, C, C, true);
    arch_add_norm(arch, name(arch, layer, "attention.output.LayerNorm"), layer, ROLE_ATTN_NORM);
    arch_add_linear(arch, name(arch, layer, "intermediate.dense"), layer, ROLE_FF_UP, F, C, true);
    arch_add_linear(arch, name(arch, layer, "output.dense"), layer, ROLE_FF_DOWN, C, F, true);
    arch_add_norm(arch, name(arch, layer, "output.LayerNorm"), layer, ROLE_FF_NORM);
}

void bert_list_layers(ModelArch *arch)
{
    for (int layer = 0; layer < arch->layers; layer++)
        list_layer(arch, layer);
}

static void list(ModelArch *arch)
{
    arch_add_table(arch, xstrdup("bert.embeddings.word_embeddings"), ROLE_WORD, arch->V);
    arch_add_table(arch, xstrdup("bert.embeddings.position_embeddings"), ROLE_POSITION, arch->positions);
    arch_add_table(arch, xstrdup("bert.embeddings.token_type_embeddings"), ROLE_TYPE, arch->types);
    arch_add_norm(arch, xstrdup("bert.embeddings.LayerNorm"), -1, ROLE_EMBED_NORM);
    bert_list_layers(arch);
    if (!arch->head.task->of_tokens) /* BertForTokenClassification has no pooler */
        arch_add_linear(arch, xstrdup("bert.pooler.dense"), -1, ROLE_POOLER, arch->C, arch->C, true);
    arch_add_head(arch, xstrdup("classifier"), true);
}

const FamilyReader bert_reader = { &bert, bert_keys, read, list };
