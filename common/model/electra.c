/* ELECTRA: BERT's blocks over tables of a width of their own, no pooler, and RoBERTa's head with gelu.
 * Source of names and defaults: Transformers 5.23, models/electra. */
#include "common/model/family.h"

#include "common/base/mem.h"

/* clang-format off */
static const char *const keys[] = {
    "attention_probs_dropout_prob", "classifier_dropout", "embedding_size", "hidden_act", "hidden_dropout_prob",
    "hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps", "max_position_embeddings",
    "num_attention_heads", "num_hidden_layers", "pad_token_id", "position_embedding_type", "type_vocab_size",
    "vocab_size", NULL };
/* clang-format on */

static const char *const default_targets[] = { "query", "value", NULL };
static const char *const idle[] = { "embeddings.position_ids", NULL };
static const char *const heads[] = { "discriminator_predictions.*",
                                     "generator_predictions.*",
                                     "generator_lm_head.*",
                                     "sequence_summary.*",
                                     "classifier.*",
                                     "qa_outputs.*",
                                     NULL };

static const Family electra = {
    .model_type = "electra",
    .title = "ELECTRA",
    .prefix = "electra.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "ElectraForSequenceClassification",
                    [TASK_TOKEN_CLS] = "ElectraForTokenClassification",
                    [TASK_FEATURE_EXTRACTION] = "ElectraModel",
                    [TASK_QUESTION_ANS] = "ElectraForQuestionAnswering" },
};

static const BertDefaults defaults = {
    .V = 30522,
    .positions = 512,
    .types = 2,
    .C = 256,
    .H = 4,
    .F = 1024,
    .table_width = 128,
    .dropout = 0.1,
};

static bool read(ModelArch *arch, Err *err)
{
    if (!bert_read(arch, &defaults, err) || !arch_tokens(arch, 0, -1, -1, err))
        return false;
    arch->padding_row = arch->pad_id;
    arch->head.pooler_act = ACT_GELU; /* whatever hidden_act and summary_activation say */
    arch->head.pooler_dropout = arch->head.dropout;
    return true;
}

static void list(ModelArch *arch)
{
    bert_list_tables(arch);
    if (arch->table_width != arch->C)
        arch_add_linear(arch, xstrdup("electra.embeddings_project"), -1, ROLE_EMBED_PROJECT, arch->C, arch->table_width,
                        true);
    bert_list_layers(arch);
    arch_add_head_two(arch);
}

const FamilyReader electra_reader = { &electra, keys, read, list };
