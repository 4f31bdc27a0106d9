/* DistilBERT: BERT without token types, and a head of two layers (pre_classifier
 * with relu, classifier). Sinusoidal positions are a table like any other.
 * Source of names and defaults: Transformers 5.23, models/distilbert. */
#include "common/model/family.h"

#include "common/base/mem.h"
#include "common/base/text.h"

static const char *const keys[] = { "activation",
                                    "attention_dropout",
                                    "bos_token_id",
                                    "dim",
                                    "dropout",
                                    "eos_token_id",
                                    "hidden_dim",
                                    "initializer_range",
                                    "max_position_embeddings",
                                    "n_heads",
                                    "n_layers",
                                    "pad_token_id",
                                    "seq_classif_dropout",
                                    "sinusoidal_pos_embds",
                                    "vocab_size",
                                    NULL };

static const char *const idle[] = { "embeddings.position_ids", NULL };
static const char *const heads[] = { "vocab_transform.*",
                                     "vocab_layer_norm.*",
                                     "vocab_projector.*",
                                     "pre_classifier.*",
                                     "classifier.*",
                                     "qa_outputs.*",
                                     NULL };

static const Family distilbert = {
    .model_type = "distilbert",
    .title = "DistilBERT",
    .prefix = "distilbert.",
    .target_hint = "q_lin, v_lin",
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "DistilBertForSequenceClassification",
                    [TASK_TOKEN_CLS] = "DistilBertForTokenClassification",
                    [TASK_FEATURE_EXTRACTION] = "DistilBertModel",
                    [TASK_QUESTION_ANS] = "DistilBertForQuestionAnswering" },
    .drops_spans = true,
};

static bool read_sizes(ModelArch *arch, Err *err)
{
    return arch_size(arch, "dim", 768, &arch->C, err) && arch_layers(arch, "n_layers", 6, err) &&
           arch_size(arch, "n_heads", 12, &arch->H, err) && arch_size(arch, "hidden_dim", 3072, &arch->F, err) &&
           arch_size(arch, "vocab_size", 30522, &arch->V, err) &&
           arch_size(arch, "max_position_embeddings", 512, &arch->positions, err) &&
           arch_heads(arch, "dim", "n_heads", err);
}

static bool read(ModelArch *arch, Err *err)
{
    const bool whole = !arch->head.task->of_tokens;
    arch->head.rows = whole ? READ_FIRST : READ_LABELLED;
    arch->head.pooler_act = ACT_RELU;
    arch->norm_eps = 1e-12; /* no key */
    if (!read_sizes(arch, err) || !arch_initializer(arch, "initializer_range", err) ||
        !arch_tokens(arch, 0, -1, -1, err) || !arch_activation(arch, "activation", "gelu", &arch->act, err) ||
        !arch_dropout(arch, "dropout", 0.1, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_dropout", 0.1, &arch->attention_dropout, err) ||
        !arch_dropout(arch, "seq_classif_dropout", 0.2, &arch->head.dropout, err))
        return false;
    if (!whole)
        arch->head.dropout = arch->hidden_dropout;
    if (arch->head.task->spans && !arch_dropout(arch, "qa_dropout", 0.1, &arch->head.dropout, err))
        return false;
    arch->embed_dropout = arch->hidden_dropout;
    arch->padding_row = arch->pad_id;
    return true;
}

static char *name(int layer, const char *rest)
{
    return xprintf("distilbert.transformer.layer.%d.%s", layer, rest);
}

static void list_layer(ModelArch *arch, int layer)
{
    const int64_t C = arch->C, F = arch->F;
    arch_add_linear(arch, name(layer, "attention.q_lin"), layer, ROLE_Q, C, C, true);
    arch_add_linear(arch, name(layer, "attention.k_lin"), layer, ROLE_K, C, C, true);
    arch_add_linear(arch, name(layer, "attention.v_lin"), layer, ROLE_V, C, C, true);
    arch_add_linear(arch, name(layer, "attention.out_lin"), layer, ROLE_ATTN_OUT, C, C, true);
    arch_add_norm(arch, name(layer, "sa_layer_norm"), layer, ROLE_ATTN_NORM);
    arch_add_linear(arch, name(layer, "ffn.lin1"), layer, ROLE_FF_UP, F, C, true);
    arch_add_linear(arch, name(layer, "ffn.lin2"), layer, ROLE_FF_DOWN, C, F, true);
    arch_add_norm(arch, name(layer, "output_layer_norm"), layer, ROLE_FF_NORM);
}

static void list(ModelArch *arch)
{
    arch_add_table(arch, xstrdup("distilbert.embeddings.word_embeddings"), ROLE_WORD, arch->V);
    arch_add_table(arch, xstrdup("distilbert.embeddings.position_embeddings"), ROLE_POSITION, arch->positions);
    arch_add_norm(arch, xstrdup("distilbert.embeddings.LayerNorm"), -1, ROLE_EMBED_NORM);
    for (int layer = 0; layer < arch->layers; layer++)
        list_layer(arch, layer);
    if (!arch->head.task->of_tokens)
        arch_add_head_pooler(arch, xstrdup("pre_classifier"), true);
    arch_add_head(arch, xstrdup("classifier"), true);
}

const FamilyReader distilbert_reader = { &distilbert, keys, read, list };
